"""Frozen texts and images to vectors, and the index that finds the nearest of them."""
