"""A ranker's logits to logits whose sigmoid holds on rows it was not trained on. Short names as a TOML uses them.

Each is `fit(logits [N], labels [N])`, then a function of logits of any shape that never falls; NaN, where there is no candidate,
stays NaN. What each refuses: labels outside [0, 1], and labels of one class, of which no rate can be learned.
"""

CALIBRATORS = {
    "platt": "headrace.methods.rank.calibrators.platt:Platt",
    "isotonic": "headrace.methods.rank.calibrators.isotonic:Isotonic",
    "beta": "headrace.methods.rank.calibrators.beta:Beta",
}
