"""What every labeler of unshown candidates promises: an opinion in [0, 1] on each, with a weight, request by request."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from headrace.contracts.lists import CandidateLists
from headrace.contracts.seams import PseudoLabeler, PseudoLabels
from headrace.testing.expect import expect, expect_close


def check_pseudo_labeler(labeler: Any, lists: CandidateLists, artifacts: Mapping[str, Any]) -> None:
    """labeler: not fitted yet. lists: of impressions, some shown and some not. artifacts: what its `needs` names."""
    name = type(labeler).__name__
    expect(isinstance(labeler, PseudoLabeler) and hasattr(labeler, "fit"), f"{name} lacks fit or label.")
    missing = sorted(set(labeler.needs) - artifacts.keys())
    expect(not missing, f"{name} needs {', '.join(missing)}, and the example has: {', '.join(artifacts) or 'none'}.")
    expect(lists.known is not None and lists.known.any() and lists.unshown.there.any(), "The example has to show some, not all.")
    labeler.fit(lists, artifacts)
    found = _labels(labeler, lists, name)
    expect((found.weight > 0).any(), f"{name} has no opinion on any candidate of the example.")
    again = _labels(labeler, lists, name)
    _alike(again, found, f"{name}, asked a second time")

    half = np.arange(len(lists) - 1, -1, -2)  # every second one, from the last
    some = lists.take(half)
    _alike(_labels(labeler, some, name), PseudoLabels(found.label[half], found.weight[half]), f"{name}, asked of some requests")
    one = [_labels(labeler, lists.take(np.array([row])), name) for row in range(len(lists))]
    rows = PseudoLabels(np.concatenate([part.label for part in one]), np.concatenate([part.weight for part in one]))
    _alike(rows, found, f"{name}, asked request by request")

    nobody = replace(lists, known=np.zeros_like(lists.known), label=np.zeros_like(lists.label))
    _labels(labeler, nobody, f"{name}, of requests of which nothing was shown,")
    everyone = _labels(labeler, replace(lists, known=lists.candidates.there), f"{name}, of requests of which all was shown,")
    expect(not everyone.weight.any(), f"{name} weighs candidates where all were shown.")
    empty = _labels(labeler, lists.take(np.arange(0)), f"{name}, of no request,")
    expect(len(empty.label) == 0, f"{name} labels candidates of no request.")


def _labels(labeler: Any, lists: CandidateLists, name: str) -> PseudoLabels:
    unshown = lists.unshown
    found: PseudoLabels = labeler.label(lists.requests, unshown)
    shape, there = unshown.items.shape, unshown.there
    for what, values in {"label": found.label, "weight": found.weight}.items():
        expect(
            values.shape == shape and values.dtype == np.float32,
            f"{name}: {what} is {values.dtype} {values.shape}, not float32 {shape}.",
        )
        expect(np.isfinite(values).all(), f"{name}: {what} is not finite everywhere.")
        expect((values >= 0).all(), f"{name}: {what} is below 0 somewhere.")
    expect((found.label <= 1).all(), f"{name}: label is above 1 somewhere.")
    expect(not found.weight[~there].any(), f"{name}: weight is not 0 where there is no unshown candidate.")
    return found


def _alike(found: PseudoLabels, wanted: PseudoLabels, when: str) -> None:
    expect_close(found.label, wanted.label, f"Another label from {when}", relative=1e-4, absolute=1e-5)
    expect_close(found.weight, wanted.weight, f"Another weight from {when}", relative=1e-4, absolute=1e-5)
