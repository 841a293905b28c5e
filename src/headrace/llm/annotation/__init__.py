"""Rows in, typed columns out, by a language model: within a budget, in bounded memory, taken up where it was stopped."""
