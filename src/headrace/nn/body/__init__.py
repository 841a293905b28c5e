"""The one Transformer: encoder, decoder or both from one config, built of small parts."""
