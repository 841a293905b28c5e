"""Every byte of UTF-8 is a token: nothing is learned, nothing is lost, and no library is needed. Long rows are the price."""

from typing import Any

import numpy as np

from headrace.contracts.errors import ConfigError
from headrace.data.tokens import Tokens
from headrace.text.config import BYTES
from headrace.text.pieces import Pieces


class RawBytes:
    def __init__(self) -> None:
        self.pieces = Pieces([bytes([value]) for value in range(BYTES)], lead=False)

    def encode(self, texts: list[str]) -> Tokens:
        parts = [text.encode() for text in texts]
        sizes = np.array([len(part) for part in parts], np.int64)
        ids = np.frombuffer(b"".join(parts), np.uint8).astype(np.int32)
        return Tokens(ids, np.concatenate([[0], np.cumsum(sizes)]))

    def sample(self, texts: list[str], alpha: float, seed: int) -> Tokens:
        raise ConfigError("Bytes can be cut in one way only: leave out alpha and seed, or train a bpe or unigram tokenizer.")

    def read_as(self, texts: list[str]) -> list[str]:
        return texts

    def model(self) -> dict[str, Any]:
        return {}
