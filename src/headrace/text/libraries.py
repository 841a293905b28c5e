"""Libraries that learn or run a tokenizer, imported when one is used."""

from importlib import import_module
from typing import Any

from headrace.contracts.errors import MissingExtra


def library(package: str, purpose: str) -> Any:
    """tokenizers or sentencepiece; MissingExtra says what to install where it is not there."""
    try:
        return import_module(package)
    except ImportError:
        raise MissingExtra(package, "text", purpose) from None
