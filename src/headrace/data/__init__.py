"""Logs in, in time order."""
