"""Frozen texts to vectors, and the index that finds the nearest of them."""
