"""What a text encoder takes: strings, and nothing else."""

from collections.abc import Sequence
from typing import Any

from headrace.contracts.errors import DataError


def texts_of(inputs: Sequence[Any], encoder: str) -> list[str]:
    """The inputs as a list; DataError names the first that is not a string (an image, a null). encoder: its name."""
    if isinstance(inputs, str):
        raise DataError(f"{encoder} was given one string, expected a sequence of them. Wrap it: [text].")
    texts = list(inputs)
    wrong = next((row for row, text in enumerate(texts) if not isinstance(text, str)), None)
    if wrong is not None:
        raise DataError(
            f"{encoder} reads text alone: input {wrong} of {len(texts)} is a {type(texts[wrong]).__name__}. "
            'Images need an encoder that reads images; a missing text is "".'
        )
    return texts
