"""The graph of artifacts: the only room that calls the trainer."""
