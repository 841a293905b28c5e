"""What a causal model has read, row by row, and how it reads on: chats of unequal lengths with a beginning in common.

    start = reader.read([common])                            # once
    read = reader.read(rests, start.repeated(len(rests)))    # logits of what comes next, [B, V]
    log_prob = reader.log_probs(read, rows, continuations)   # of each continuation of a row

Rows are padded on the left, so that all end together; masks hide the padding and positions don't count it, so a row's numbers are
those it has alone, up to rounding. Cost: the common beginning once, then the sum of padded lengths.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from headrace.llm.causal import new_cache

Tokens = Sequence[int]


@dataclass
class Read:
    """cache: keys and values. kept: [B, S], false at padding. lengths: [B], tokens without it. logits: [B, V] after the last."""

    cache: Any
    kept: Tensor
    lengths: Tensor
    logits: Tensor

    def selected(self, rows: Tensor) -> Read:
        """A copy with these rows (a row may come again), since reading on grows a cache in place."""
        cache = copy.deepcopy(self.cache)
        cache.batch_select_indices(rows)
        return Read(cache, self.kept[rows], self.lengths[rows], self.logits[rows])

    def repeated(self, times: int) -> Read:
        return self.selected(torch.zeros(times, dtype=torch.long, device=self.kept.device))


class Reader:
    """While continuations are scored: at_once, padded tokens whose logits over the whole vocabulary are held together; copied,
    positions of what was read before, which each of them has a copy of (46 KB each for 135 million parameters)."""

    def __init__(self, model: Any, at_once: int = 512, copied: int = 16_384):
        self.model, self.at_once, self.copied = model, at_once, copied
        self.device = model.device

    def read(self, rows: Sequence[Tokens], before: Read | None = None) -> Read:
        """Every row has a token at least; `before` has as many rows, and is used up."""
        cache, kept, lengths, logits = self._forward(rows, before, last=True)
        return Read(cache, kept, lengths, logits[:, -1])

    def log_probs(self, read: Read, rows: Sequence[int], continuations: Sequence[Tokens]) -> list[float]:
        """The sum over a continuation's tokens, given row `rows[i]`; 0 for an empty one. `read` stays as it was."""
        first = read.logits.float().log_softmax(-1)
        sums = [first[row, tokens[0]].item() if tokens else 0.0 for row, tokens in zip(rows, continuations, strict=True)]
        for places in self._parts(continuations, read.kept.shape[1]):
            begun = read.selected(torch.tensor([rows[place] for place in places], device=self.device))
            fed = [continuations[place][:-1] for place in places]
            *_, logits = self._forward(fed, begun, last=False)
            for place, found in zip(places, logits, strict=True):
                said = torch.tensor(continuations[place][1:], device=self.device)
                own = found[-len(said) :].float()
                sums[place] += (own.gather(-1, said[:, None])[:, 0] - own.logsumexp(-1)).sum().item()
        return sums

    def _parts(self, continuations: Sequence[Tokens], before: int) -> list[list[int]]:
        """Places of those longer than a token, by length, in parts as large as may be. before: positions read."""
        most = max(1, self.copied // max(1, before))
        longer = sorted(
            (place for place, tokens in enumerate(continuations) if len(tokens) > 1), key=lambda p: -len(continuations[p])
        )
        parts: list[list[int]] = []
        for place in longer:
            if parts and len(parts[-1]) < most and (len(parts[-1]) + 1) * len(continuations[parts[-1][0]]) <= self.at_once:
                parts[-1].append(place)
            else:
                parts.append([place])
        return parts

    def _forward(self, rows: Sequence[Tokens], before: Read | None, *, last: bool) -> tuple[Any, Tensor, Tensor, Tensor]:
        width = max(map(len, rows))
        ids = torch.tensor([[0] * (width - len(row)) + list(row) for row in rows], device=self.device)
        new = torch.tensor([[False] * (width - len(row)) + [True] * len(row) for row in rows], device=self.device)
        cache = new_cache() if before is None else before.cache
        kept = new if before is None else torch.cat([before.kept, new], 1)
        start = torch.zeros(len(rows), dtype=torch.long, device=self.device) if before is None else before.lengths
        positions = (start[:, None] + new.cumsum(1) - 1).clamp(min=0)
        with torch.inference_mode():
            found = self.model(
                input_ids=ids,
                attention_mask=kept.long(),
                position_ids=positions,
                cache=cache,
                use_cache=True,
                logits_to_keep=int(last),
            )
        return cache, kept, start + new.sum(1), found.logits
