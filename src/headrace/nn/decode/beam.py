"""The W most probable items of a model that writes an item's codes one after another, searched inside the tree of all codes.

    log p(item) = Σ_level log_softmax(logits_level)[code]        over the level's whole block, masked by the tree only afterwards

Masking behind the softmax keeps the model's probabilities: renormalised over a prefix's children, a rare prefix with one child
would win by having no choice. A prefix goes on only while the tree has an item below it that the row may still be given, so the
W beams of a row end in W different items, or in as many as there are; no logits can lead out of the tree. A code of probability
0 (-inf) is never taken. Ties are broken by a draw a prefix, the same in every row and batch; see `nn.topk` for why.
Shapes: R rows, W beams, S symbols of a level. Cost of the search O(levels · R W S), a decoder's pass a level beside it.
Papers: TIGER (arXiv 2305.05065), section 3.2, for codes by beam search; the tree and the blocked items are ours.
"""

from functools import lru_cache
from typing import Protocol

import torch
from torch import Tensor

from headrace.contracts.errors import DataError
from headrace.contracts.requests import History
from headrace.contracts.rng import rng
from headrace.nn.decode.blocked import Blocked
from headrace.nn.decode.tree import CodeTree


class Decoding(Protocol):
    """A decoder at work on R rows; log-probabilities are over a level's whole block."""

    def first(self) -> Tensor:
        """[R, sizes[0]]: of the first code."""
        ...

    def next(self, origin: Tensor, codes: Tensor, level: int) -> Tensor:
        """-> [R, W, sizes[level]]. origin [R, W]: which of the beams before each goes on from, 0 after `first`; codes [R, W]: its
        code at level - 1. W may change from level to level."""
        ...


def beam_search(
    decoding: Decoding, tree: CodeTree, beams: int, *, blocked: Tensor | History | None = None, seed: int = 0
) -> tuple[Tensor, Tensor]:
    """items int64 [R, beams], best first, and log-probabilities float32 [R, beams]; 0 and -inf where a row has fewer.

    blocked: what a row may not be given, as a history or [R, B] with 0 for none.
    """
    if beams < 1:
        raise DataError(f"beam search: {beams} beams. Give at least 1.")
    scores = decoding.first().unsqueeze(1)
    rows, device = len(scores), scores.device
    shut = None if blocked is None else Blocked(tree, blocked, rows)
    nodes, total = tree.root(rows, 1), scores.new_zeros(rows, 1, dtype=torch.float32)
    draws = torch.zeros(rows, 1, dtype=torch.int64, device=device)
    for level, size in enumerate(tree.sizes):
        children = tree.children(nodes, level)
        _check_shape(scores, children, level)
        open_ = (children >= 0) & (total > -torch.inf).unsqueeze(-1)
        if shut is not None:
            shut.close(open_, children, nodes, level)
        reached = (total.unsqueeze(-1) + scores.float()).masked_fill(~open_, -torch.inf)
        _check_numbers(reached, level)
        drawn = draws.unsqueeze(-1) ^ _draws(seed, level, size, device)
        keys = ((_ordered_bits(reached).long() << 32) | drawn).flatten(1)
        best = keys.topk(min(beams, keys.shape[1])).indices
        total = reached.flatten(1).gather(1, best)
        # dead beams stand last: no pass of the decoder is spent where all rows have some
        best, total = (part[:, : _widest(total)] for part in (best, total))
        nodes = children.flatten(1).gather(1, best).long().clamp(min=0)
        if level == tree.levels - 1 or not best.shape[1]:
            break
        draws = drawn.flatten(1).gather(1, best)
        scores = decoding.next(best // size, best % size, level + 1)
    items, log_prob = nodes.new_zeros(rows, beams), total.new_full((rows, beams), -torch.inf)
    width = total.shape[1]
    if width:
        items[:, :width] = torch.where(total > -torch.inf, tree.item(nodes), 0)
        log_prob[:, :width] = total
    return items, log_prob


def _widest(total: Tensor) -> int:
    """The most beams of any row that are alive."""
    return int((total > -torch.inf).sum(1).max()) if len(total) else 0


def _check_shape(scores: Tensor, children: Tensor, level: int) -> None:
    if scores.shape != children.shape:
        raise DataError(
            f"beam search: the decoder gave log-probabilities {list(scores.shape)} at level {level}; expected "
            f"{list(children.shape)}: rows, beams and the level's symbols."
        )


def _check_numbers(reached: Tensor, level: int) -> None:
    if not (reached < torch.inf).all():
        raise DataError(
            f"beam search: the decoder gave NaN or +inf as a log-probability at level {level}. Look for NaN or infinite "
            "weights or inputs of the model."
        )


@lru_cache(maxsize=64)
def _draws(seed: int, level: int, size: int, device: torch.device) -> Tensor:
    """One a code, in 31 bits. A prefix's draw is the exclusive or of its codes'."""
    drawn = rng(seed, "ties", level).integers(0, 1 << 31, size)
    return torch.from_numpy(drawn).to(device)


def _ordered_bits(scores: Tensor) -> Tensor:
    """int32 that sort as the floats do; -0.0 becomes 0.0 first, since they are equal scores."""
    bits = (scores + 0.0).view(torch.int32)
    return bits ^ ((bits >> 31) & 0x7FFFFFFF)
