"""Plain tables and the models on them: for recipes whose question needs no history and no catalogue."""
