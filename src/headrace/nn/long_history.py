"""What rankers of long histories share, so that they differ in one thing: which vectors of the past a candidate reads.

    v_t  = W [item_t, features_t] + age(t),      q = W [item, features]
    read = multi-head attention of q over what is kept
    logit = MLP(LN([user, read, q, read * q, popularity, what retrievers said, pair]))

age: an embedding of how long ago event t was, in half steps of log(1 + hours): from 0, 0.6, 1.7, 3.5 hours to 18 years.
A subclass says in `_kept` what stays of a user's events, and may say in `_reading` what of that one candidate reads; by default
each reads all of it. Tables, map, ages, attention and head are these, of equal size in all of them. What a subclass freezes of
its artifacts (codes, vectors) it holds as buffers, named in `frozen`, so that it is stored with the weights.
Shapes: events [R, T, D]; kept [R, M, D], or [R, C, k, D] where each candidate has its own; target, read [R, C, D]; D = item_dim.
Cost: the user's side O(T D²) once a request, a candidate O(M D) beside its target's O(D²).
"""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from headrace.contracts.batch import Batch, Field
from headrace.contracts.seams import Outputs, State
from headrace.data.rank_inputs import AGES
from headrace.nn.fields import FieldEmbeddings, FieldShapes
from headrace.nn.list_scorer import ListScorer
from headrace.nn.tower import tower

TASK = "choice"
_AGE_STEPS = 25


class TargetHeads(nn.Module):
    """softmax(q_h k_h / sqrt(d_h)) v_h, heads joined and mapped: what candidates read of the vectors that are there.

    query [R, C, D]; read [R, M, D], there [R, M]; or read [R, C, k, D], there [R, C, k] -> [R, C, D]; W_out's bias where none is.
    A caller who picks among many vectors maps them once (`keys`, `values`), picks among the mapped, and calls `weighed`.
    """

    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.heads = heads
        self.queries, self.keys = nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.values, self.out = nn.Linear(dim, dim), nn.Linear(dim, dim)

    def forward(self, query: Tensor, read: Tensor, there: Tensor) -> Tensor:
        return self.weighed(query, self.keys(read), self.values(read), there)

    def weighed(self, query: Tensor, keys: Tensor, values: Tensor, there: Tensor) -> Tensor:
        """keys, values: `self.keys(read)`, `self.values(read)`."""
        q = self._split(self.queries(query)).unsqueeze(-2)  # [R, C, h, 1, d]
        k, v = (self._split(one).transpose(-3, -2) for one in (keys, values))  # [R, h, M, d] or [R, C, h, k, d]
        if keys.dim() == 3:
            k, v, there = k.unsqueeze(1), v.unsqueeze(1), there.unsqueeze(1)
        mask = there.unsqueeze(-2).unsqueeze(-2)
        logits = (q @ k.transpose(-2, -1)) * k.shape[-1] ** -0.5
        # the lowest number, not -inf: a row of nothing has weights then, which the mask takes away
        weights = logits.masked_fill(~mask, torch.finfo(logits.dtype).min).softmax(-1) * mask
        found: Tensor = self.out((weights @ v).squeeze(-2).flatten(-2))
        return found

    def _split(self, values: Tensor) -> Tensor:
        return values.reshape(*values.shape[:-1], self.heads, values.shape[-1] // self.heads)


class LongHistoryScorer(ListScorer):
    """A subclass has a `LongConfig`, holds what it freezes (`_hold`) in `learn` before its parameters are made, and `_kept`."""

    frozen: tuple[str, ...] = ()
    """Buffers made of artifacts."""

    def user(self, batch: Batch) -> State:
        return {"features": self.fields.user(batch), **self._kept(batch)}

    def score(self, state: State, candidates: Batch) -> Outputs:
        items = self.fields.known(candidates["items"])
        target = self._target(items)
        read = self._reading(state, target, items)
        # None where it would be of no width: the exported form can't widen nothing
        user = [state["features"].unsqueeze(1).expand(*items.shape, -1)] if self.fields.user_width else []
        popularity = self.fields.popular(items)
        x = torch.cat([*user, read, target, read * target, popularity, candidates["retrieval"], self.fields.pair(candidates)], -1)
        shared = self.deep(self.norm(x))
        return Outputs({TASK: self.head(shared).squeeze(-1)}, shared=shared)

    def _kept(self, batch: Batch) -> State:
        """What stays of a user's past; by default "read" [R, M, D] and "there" [R, M] of it are what `_reading` reads."""
        raise NotImplementedError

    def _reading(self, state: State, target: Tensor, items: Tensor) -> Tensor:
        """[R, C, D]: what each candidate reads."""
        found: Tensor = self.attend(target, state["read"], state["there"])
        return found

    def _items(self, batch: Batch) -> Tensor:
        """[R, T]: the events' items, oldest first, 0 behind them."""
        return self.fields.known(batch["history"])

    def _past(self, batch: Batch) -> Tensor:
        """[R, T, D]: the events' vectors; what stands at items of 0 means nothing."""
        return self._target(self._items(batch)) + self._aged(batch[AGES])

    def _target(self, items: Tensor) -> Tensor:
        """[..] -> [.., D]: items without a time."""
        found: Tensor = self.map(torch.cat([self.fields.items(items), self.fields.item(items)], -1))
        return found

    def _aged(self, ages: Tensor) -> Tensor:
        """log(1 + hours) [..] -> [.., D]."""
        found: Tensor = self.ages((2 * ages).floor().clamp(0, _AGE_STEPS - 1).long())
        return found

    def _hold(self, made: Mapping[str, NDArray[Any]]) -> None:
        """Registers what is frozen; from here on it is an attribute, moves with the module and is stored with it."""
        for name in self.frozen:
            self.register_buffer(name, torch.from_numpy(np.array(made[name])))

    def _filled(self, arrays: Mapping[str, NDArray[Any]]) -> Self:
        self._hold(arrays)
        return super()._filled(arrays)

    def _begin(self, shapes: FieldShapes, stages: int) -> None:
        super()._begin(shapes, stages)
        events = Field("float32", ("rows", self.config.history))
        self.schema = {"history": self.schema["history"], AGES: events, **self.schema}

    def _make(self, shapes: FieldShapes, stages: int) -> None:
        settings = self.config
        dim = settings.item_dim
        self.fields = FieldEmbeddings(shapes, dim, settings.feature_dim)
        self.map, self.ages = nn.Linear(dim + self.fields.item_width, dim), nn.Embedding(_AGE_STEPS, dim)
        nn.init.normal_(self.ages.weight, std=0.05)
        self.attend = TargetHeads(dim, settings.heads)
        width = self.fields.user_width + 3 * dim + 1 + 3 * stages + self.fields.pair_width
        self.norm = nn.LayerNorm(width)
        self.deep, out = tower(width, settings.hidden, settings.dropout, nn.PReLU)
        self.head = nn.Linear(out, 1)
