"""What every closed-form method promises: what it learned hangs on the interactions it was last given, and on nothing else."""

from dataclasses import replace
from typing import Any

import numpy as np

from headrace.contracts.interactions import Interactions
from headrace.contracts.requests import History
from headrace.contracts.seams import ClosedForm
from headrace.testing.expect import expect, expect_close, expect_equal
from headrace.testing.stored import check_stored


def check_closed_form(method: Any, interactions: Interactions) -> None:
    """method: `ClosedForm` and `Stored`; it is left fitted on the interactions."""
    expect(isinstance(method, ClosedForm), f"{type(method).__name__} has no fit(interactions).")
    history, available = interactions.history, interactions.available.copy()
    given = {name: getattr(history, name).copy() for name in ("offsets", "items", "at_us")}
    method.fit(interactions)
    fitted = _copies(method)
    for name, values in given.items():
        expect_equal(getattr(history, name), values, f"fit changed the history's {name}")
    expect_equal(interactions.available, available, "fit changed which items are available")

    method.fit(_turned_inside_steps(interactions))
    _alike(_copies(method), fitted, "events of one moment stand in another order")
    middle = int(np.median(history.at_us))
    method.fit(interactions.before(middle))
    method.fit(interactions)
    for name, values in _copies(method).items():
        expect_equal(values, fitted[name], f'After a fit on something else, fit gives another "{name}"')
    check_stored(method)


def _turned_inside_steps(interactions: Interactions) -> Interactions:
    history = interactions.history
    order = np.lexsort((-np.arange(len(history.items)), history.at_us, history.rows()))
    turned = History(history.offsets, history.items[order], history.at_us[order])
    return replace(interactions, history=turned, weights=interactions.weights[order])


def _copies(method: Any) -> dict[str, Any]:
    return {name: np.array(values) for name, values in method.arrays().items()}


def _alike(found: dict[str, Any], wanted: dict[str, Any], when: str) -> None:
    for name, values in wanted.items():
        expect_close(found[name], values, f'fit gives another "{name}" when {when}')
