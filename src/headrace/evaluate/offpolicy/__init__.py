"""What a policy would have earned that was never run, from the log of one that was. Reads columns alone, never a model."""
