"""Logistic regression of a few columns, by Newton's method: what calibrations of scores are made of, and linear probes.

    w = argmin  -sum_n t_n log sigmoid(x_n · w) + (1 - t_n) log(1 - sigmoid(x_n · w)),    all of w but the last at least 0
    t = (positives + 1) / (positives + 2) for a positive, 1 / (negatives + 2) for a negative

These targets keep the fit finite where a score tells the classes apart (Platt, 1999, section 2.2). A slope that would be below
0 is set to 0 and the others are fitted again, so that no score is ever turned round (Kull et al., 2017, section 3.2).
`ridge` is of columns that are no scores: slopes of either sign, each held to 0 by penalty / 2 · w², and the labels as they are.
Shapes: columns [N, K], labels [N] in [0, 1]. Cost O(N K²) a step, some ten steps.
"""

import numpy as np

from headrace.contracts.requests import Bool, Float64

_STEPS, _HALVINGS = 100, 30


def fitted(columns: Float64, labels: Float64) -> Float64:
    """w [K + 1]: a slope a column, then the constant."""
    x, targets = np.column_stack([columns, np.ones(len(columns))]), smoothed(labels)
    used = np.ones(x.shape[1], np.bool_)
    while True:
        w = _newton(x, targets, used)
        below = w[:-1] < 0
        if not below.any():
            return w
        used[:-1] &= ~below


def ridge(columns: Float64, labels: Float64, penalty: float) -> Float64:
    """w [K + 1]: a slope a column, then the constant, which nothing holds. labels: some of both classes."""
    x = np.column_stack([columns, np.ones(len(columns))])
    return _newton(x, labels, np.ones(x.shape[1], np.bool_), penalty)


def smoothed(labels: Float64) -> Float64:
    """Platt's targets; a label between 0 and 1 moves as far as its share of both."""
    positives = labels.sum()
    low, high = 1 / (len(labels) - positives + 2), (positives + 1) / (positives + 2)
    targets: Float64 = low + labels * (high - low)
    return targets


def _newton(x: Float64, targets: Float64, used: Bool, penalty: float = 0.0) -> Float64:
    w, x = np.zeros(len(used)), x[:, used]
    own, held = np.zeros(x.shape[1]), np.full(x.shape[1], penalty)
    held[-1] = 0
    for _ in range(_STEPS):
        p = 0.5 * (1 + np.tanh(0.5 * (x @ own)))
        slope, curve = x.T @ (p - targets) + held * own, (x * (p * (1 - p))[:, None]).T @ x + np.diag(held)
        # columns may say the same: the ridge is far below what a label weighs
        step = np.linalg.solve(curve + 1e-9 * np.eye(len(own)) * max(np.trace(curve), 1e-9), slope)
        before, size = _loss(x, own, targets, held), 1.0
        for _ in range(_HALVINGS):
            if _loss(x, own - size * step, targets, held) <= before:
                break
            size /= 2
        own = own - size * step
        if np.abs(size * step).max() < 1e-10:
            break
    w[used] = own
    return w


def _loss(x: Float64, w: Float64, targets: Float64, held: Float64) -> float:
    logits = x @ w
    return float((np.logaddexp(0, logits) - targets * logits).sum() + (held * w**2).sum() / 2)
