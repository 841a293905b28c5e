"""Logistic regression as recipes need it: exact, weighted, with targets between 0 and 1. A few features, so Newton's method."""

import numpy as np
from scipy.optimize import minimize

from headrace.contracts.requests import Float64
from headrace.world.selection import sigmoid


def logistic(rows: Float64, target: Float64, weight: Float64 | None = None, *, l2: float = 0.0) -> Float64:
    """Coefficients [F] of the minimum of (weighted) mean cross-entropy + l2/2 ||w||²; rows [n, F], target [n] in [0, 1]."""
    share = np.full(len(rows), 1 / len(rows)) if weight is None else weight / weight.sum()

    def loss(coefficients: Float64) -> tuple[float, Float64]:
        logit = rows @ coefficients
        value = share @ (np.logaddexp(0.0, logit) - target * logit) + l2 / 2 * coefficients @ coefficients
        return float(value), rows.T @ (share * (sigmoid(logit) - target)) + l2 * coefficients

    def curvature(coefficients: Float64) -> Float64:
        p = sigmoid(rows @ coefficients)
        bent: Float64 = rows.T @ (rows * (share * p * (1 - p))[:, None]) + l2 * np.eye(rows.shape[1])
        return bent

    found = minimize(loss, np.zeros(rows.shape[1]), jac=True, hess=curvature, method="trust-exact", options={"gtol": 1e-9})
    fitted: Float64 = found.x
    return fitted
