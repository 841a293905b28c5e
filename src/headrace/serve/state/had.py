"""What a user had of items that the log does not know: their events are kept, and are history for the next build's models."""

import copy
from collections.abc import Mapping

import numpy as np

from headrace.serve.state.layered import LayeredState


def had(state: LayeredState, user_id: str, at_us: int, items: Mapping[str, int]) -> list[int]:
    """items: numbers by id. Of these the ones that the user had before the moment, as `history` reads what the log knows."""
    view = copy.copy(state)
    view.items = items  # type: ignore[assignment]
    return [number for number, _ in view._above([user_id], np.array([at_us]), None)[0]]
