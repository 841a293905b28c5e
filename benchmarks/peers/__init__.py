"""Peers for head-to-head figures. `running` belongs to the project; every other file runs inside its peer's own environment."""
