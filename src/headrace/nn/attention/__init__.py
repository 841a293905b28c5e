"""One attention function over masks that can be joined, with a dense backend and one that gathers blocks."""
