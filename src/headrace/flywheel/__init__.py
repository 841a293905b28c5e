"""Generations, gates, experiments and the loop: what may replace what is live, and on which evidence."""
