"""A few centres of each row's vectors: k-means inside the row, all rows at once.

    begin: places spread evenly over the row;   then c_m = mean of the vectors nearer to it, by cosine, than to any other

Shapes: vectors [R, T, d] of length 1, of which `there` [R, T] count -> centres [R, n, d] of length 1, and which there are
[R, n]. Cost O(rounds · R T n d). A row with n vectors or fewer has these as its centres. No draw is taken: places decide.
"""

import numpy as np

from headrace.contracts.requests import Bool, Float32
from headrace.encode.semantic_ids.anchors import unit


def centres(vectors: Float32, there: Bool, n: int, *, rounds: int = 5) -> tuple[Float32, Bool]:
    counts = there.sum(1)
    first = np.argsort(~there, axis=1, kind="stable")  # those that count, in their order
    some = np.minimum(counts, n)[:, None]
    nth = np.arange(n) * counts[:, None] // np.maximum(some, 1)
    kept = np.arange(n) < some
    places = np.take_along_axis(first, np.where(kept, nth, 0), 1)
    found = np.where(kept[..., None], np.take_along_axis(vectors, places[..., None], 1), np.float32(0))
    for _ in range(rounds):
        near = np.where(kept[:, None], np.einsum("rtd,rnd->rtn", vectors, found), -np.inf).argmax(2)
        mine = (near[..., None] == np.arange(n)) & there[..., None]
        total = np.einsum("rtn,rtd->rnd", mine.astype(np.float32), vectors)
        found = np.where(mine.any(1)[..., None], unit(total), found)
    return found.astype(np.float32), kept
