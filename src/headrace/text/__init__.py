"""Texts to tokens and back: one tokenizer service for encoders, generators and recommenders that write semantic ids."""
