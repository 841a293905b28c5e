"""Headrace: from a product's logs to a served, measured recommender."""

__version__ = "0.1.0"
