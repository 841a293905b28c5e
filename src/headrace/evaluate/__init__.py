"""How good an answer was, with n and an interval. Reads ranked lists and predictions, never a model, so a peer's output is
scored by the same harness."""
