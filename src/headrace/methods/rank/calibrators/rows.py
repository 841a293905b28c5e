"""What a calibrator is fitted on: a logit and a label a row, checked."""

import numpy as np

from headrace.contracts.errors import DataError
from headrace.contracts.requests import Float64


def checked(logits: Float64, labels: Float64) -> tuple[Float64, Float64]:
    """As float64 [N] each, or an error that says what is wrong with them."""
    logits, labels = np.asarray(logits, np.float64), np.asarray(labels, np.float64)
    if logits.shape != labels.shape or logits.ndim != 1:
        raise DataError(f"calibrate: logits are {logits.shape} and labels {labels.shape}; expected one of each a row.")
    for name, values, fine, wanted in (
        ("logits", logits, np.isfinite(logits), "a finite number"),
        ("labels", labels, (labels >= 0) & (labels <= 1), "0, 1 or what lies between"),
    ):
        if not fine.all():
            row = int(fine.argmin())
            raise DataError(f"calibrate: row {row} of {name} is {values[row]}; expected {wanted}.")
    if not 0 < labels.sum() < len(labels):
        raise DataError(
            f"calibrate: {labels.sum():g} of the {len(labels):,} rows that are held out are positive, and a rate needs both "
            "classes. Raise most_requests or the window's share in [split], or leave calibrate out."
        )
    return logits, labels
