"""The store of immutable results. No torch."""
