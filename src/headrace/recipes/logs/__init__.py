"""Logs of simulated exposure with their truth apart, what is trained on them, and what it is held against."""
