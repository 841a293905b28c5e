"""What an event says: its kind's polarity and the range of its value, as declared in TOML under [kinds.NAME]."""

from typing import Literal

from headrace.contracts.config import config


@config
class Kind:
    """positive events are what retrievers learn to foresee; negative and neutral ones are features."""

    polarity: Literal["positive", "negative", "neutral"] = "positive"
    min_value: float | None = None
    max_value: float | None = None
