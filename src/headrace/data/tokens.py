"""Texts as numbers: all tokens end to end, and where each document begins. What a tokenizer makes and batches are cut from."""

from dataclasses import dataclass

import numpy as np

from headrace.contracts.requests import Int32, Int64


@dataclass(frozen=True, eq=False)
class Tokens:
    """ids [n]: int32. offsets [D + 1]: document d is ids[offsets[d] : offsets[d + 1]]."""

    ids: Int32
    offsets: Int64

    def __len__(self) -> int:
        """Documents."""
        return len(self.offsets) - 1

    def document(self, number: int) -> Int32:
        return self.ids[self.offsets[number] : self.offsets[number + 1]]

    @property
    def lengths(self) -> Int64:
        """[D], in tokens."""
        return np.diff(self.offsets)

    def take(self, documents: Int64) -> "Tokens":
        """These documents, in this order."""
        lengths = self.lengths[documents]
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        place = np.arange(offsets[-1]) - np.repeat(offsets[:-1], lengths) + np.repeat(self.offsets[documents], lengths)
        return Tokens(self.ids[place], offsets)

    @classmethod
    def of(cls, documents: list[Int32]) -> "Tokens":
        lengths = [len(document) for document in documents]
        ids = np.concatenate([np.zeros(0, np.int32), *documents]).astype(np.int32)
        return cls(ids, np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64))
