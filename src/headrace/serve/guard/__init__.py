"""What stands between the network and a route, a small middleware a file; `around` says in which order."""
