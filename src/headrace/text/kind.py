"""What every kind of tokenizer does. Its ids begin at 0; the reserved ones are set before them by `Tokenizer`."""

from typing import Any, Protocol

from headrace.data.tokens import Tokens
from headrace.text.pieces import Pieces


class Kind(Protocol):
    pieces: Pieces

    def encode(self, texts: list[str]) -> Tokens: ...

    def sample(self, texts: list[str], alpha: float, seed: int) -> Tokens:
        """One of the ways to cut each text, drawn; the same for the same texts, alpha and seed."""
        ...

    def read_as(self, texts: list[str]) -> list[str]:
        """The texts as decoding gives them back, of the same lengths."""
        ...

    def model(self) -> dict[str, Any]:
        """All that was learned, as JSON holds it: the kind can be made from it again."""
        ...
