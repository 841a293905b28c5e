"""Load on a server that listens: who asks what and when, what it took by route and stage, what the server weighed meanwhile."""
