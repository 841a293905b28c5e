"""What rankers share that search a long history: each candidate finds k events of its own, and attends to those alone.

    found = the k best of search(q, e_t),     read = the attention of nn/long_history over found

Events are mapped to the attention's keys and values once a request, and found among the mapped. A subclass says in `_sought` what
the search needs beside them, and in `_found` which events a candidate finds. No gradient runs through the search.
Shapes: state "keys", "values" [R, T, D], "there" [R, T]; found [R, C, k]. Cost: O(T D²) once a request, its search and O(k D)
a candidate. State: 8 T D bytes a user in float32, and what the search needs.
"""

import torch
from torch import Tensor

from headrace.contracts.batch import Batch
from headrace.contracts.seams import State
from headrace.nn.long_history import LongHistoryScorer
from headrace.nn.search import Found, read_at


class SearchScorer(LongHistoryScorer):
    def _kept(self, batch: Batch) -> State:
        items, past = self._items(batch), self._past(batch)
        with torch.no_grad():
            sought = self._sought(items)
        return {"keys": self.attend.keys(past), "values": self.attend.values(past), "there": items > 0, **sought}

    def _reading(self, state: State, target: Tensor, items: Tensor) -> Tensor:
        with torch.no_grad():
            found = self._found(state, target, items)
        keys, values = (read_at(state[name], found.places) for name in ("keys", "values"))
        read: Tensor = self.attend.weighed(target, keys, values, found.there)
        return read

    def _sought(self, items: Tensor) -> State:
        """items [R, T] of the events -> what the search reads of them."""
        return {}

    def _found(self, state: State, target: Tensor, items: Tensor) -> Found:
        """target [R, C, D] and items [R, C] of the candidates."""
        raise NotImplementedError

    def _own(self, items: Tensor) -> Tensor:
        """[..] -> [.., E]: embedding and features, before the map: its bias is the same for all, and hides what parts them."""
        return torch.cat([self.fields.items(items), self.fields.item(items)], -1)
