"""Off-policy estimators against truths: generators, a peer, and a real log. `benchmarks.offpolicy` runs them."""
