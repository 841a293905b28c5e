"""Histories in another order at the same moments: what of a model hangs on order shows when it is fitted on them."""

from dataclasses import replace
from typing import Literal

import numpy as np

from headrace.contracts.interactions import Interactions
from headrace.contracts.rng import rng

Order = Literal["as it was", "shuffled", "reversed"]


def reordered(interactions: Interactions, order: Order, seed: int) -> Interactions:
    """Each user's items, turned whole or drawn anew."""
    if order == "as it was":
        return interactions
    history = interactions.history
    place = np.arange(len(history.items))
    draw = -place if order == "reversed" else rng(seed, "order").random(len(place))
    turned = np.lexsort((draw, history.rows()))
    return replace(interactions, history=replace(history, items=history.items[turned]), weights=interactions.weights[turned])
