"""What rankers that read texts share: a reader of tokens, pooling of its states, and what users and items are scored by."""
