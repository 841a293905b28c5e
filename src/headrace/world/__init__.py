"""Simulated populations whose truth is known."""
