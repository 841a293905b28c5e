"""A client of a served build: typed calls, with neither torch nor the server. `Client` in `calls` is what to use."""
