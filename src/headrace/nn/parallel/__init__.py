"""Layers whose weights lie on several processes: what is cut, what is summed, and where."""
