"""HTTP API over a finished build."""
