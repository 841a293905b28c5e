"""Losses: one per file, each returns a mean; weights stay outside."""
