"""Ids set before and behind every document."""

from collections.abc import Sequence

import numpy as np

from headrace.contracts.requests import Bool, Int32
from headrace.data.tokens import Tokens


def framed(tokens: Tokens, before: Sequence[int | Int32], behind: Sequence[int | Int32]) -> tuple[Tokens, Bool]:
    """before, behind: an id, or one a document. With it, which tokens were there already [n]."""
    offsets = np.concatenate([[0], np.cumsum(tokens.lengths + len(before) + len(behind))])
    ids, there = np.empty(offsets[-1], np.int32), np.ones(offsets[-1], np.bool_)
    for number, one in enumerate((*before, *behind)):
        place = offsets[:-1] + number if number < len(before) else offsets[1:] + number - len(before) - len(behind)
        ids[place], there[place] = one, False
    ids[there] = tokens.ids
    return Tokens(ids, offsets), there
