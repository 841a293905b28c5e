"""How a Transformer is told where a token stands: added to its vector, to the scores, or by turning queries and keys."""
