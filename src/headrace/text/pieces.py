"""The bytes that each token stands for: texts from tokens, and where in a text a token stands.

lead: a kind that puts a space before every text, so that a first word is the same token as a later one.
"""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from headrace.contracts.requests import Bool, Int32, Int64
from headrace.data.tokens import Tokens

_AT_ONCE = 1_000  # documents: bounds the memory, some 20 bytes for each of theirs


class Pieces:
    def __init__(self, pieces: list[bytes], *, lead: bool):
        self.all, self.lead = pieces, lead
        self.lengths: Int64 = np.array([len(piece) for piece in pieces], np.int64)
        self._flat = np.frombuffer(b"".join(pieces), np.uint8)
        self._offsets = np.concatenate([[0], np.cumsum(self.lengths)])

    def texts(self, tokens: Tokens) -> list[str]:
        """Bytes that are no UTF-8, as a model may write them, are read as U+FFFD."""
        found: list[str] = []
        for begin in range(0, len(tokens), _AT_ONCE):
            part = tokens.offsets[begin : begin + _AT_ONCE + 1]
            found += self._texts(tokens.ids[part[0] : part[-1]], part - part[0])
        return found

    def _texts(self, ids: Int32, offsets: Int64) -> list[str]:
        lengths = self.lengths[ids]
        ends = np.concatenate([[0], np.cumsum(lengths)])
        place = np.arange(ends[-1]) + np.repeat(self._offsets[ids] - ends[:-1], lengths)
        flat = self._flat[place].tobytes()
        found = [flat[begin:end] for begin, end in pairwise(ends[offsets].tolist())]
        return [(text.removeprefix(b" ") if self.lead else text).decode(errors="replace") for text in found]

    def spans(self, tokens: Tokens, texts: list[str]) -> Int32:
        """[n, 2]: the characters that each token has a part of, begin and end. A lead alone is an empty span."""
        flat = np.frombuffer("".join(texts).encode(), np.uint8)
        sizes = np.array([len(text.encode()) for text in texts], np.int64)
        documents = np.repeat(np.arange(len(texts)), tokens.lengths)
        led = self.lead & (sizes > 0)
        # bytes before each token, the leads of its own and earlier texts not counted
        ends = np.cumsum(self.lengths[tokens.ids]) - np.cumsum(led)[documents]
        begins = ends - self.lengths[tokens.ids]
        first = np.concatenate([[0], np.cumsum(sizes)])[documents]
        begins = np.maximum(begins, first)
        characters = np.concatenate([[0], np.cumsum(_first_bytes(flat))])  # up to each byte
        base = characters[first]
        begin = np.where(begins == ends, characters[begins], characters[np.minimum(begins + 1, len(flat))] - 1)
        return np.stack([begin - base, characters[ends] - base], 1).astype(np.int32)


def _first_bytes(flat: NDArray[np.uint8]) -> Bool:
    """Where a character of UTF-8 begins."""
    begins: Bool = (flat & 0xC0) != 0x80
    return begins
