"""Several processes that serve one run as one server."""
