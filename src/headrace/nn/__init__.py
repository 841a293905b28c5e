"""Parts used by two or more methods."""
