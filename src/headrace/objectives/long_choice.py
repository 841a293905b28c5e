"""The settings that rankers of long histories have in common: a `ChoiceConfig` with an attention of equal size in all of them."""

from typing import Annotated

from annotated_types import Ge, Gt, Lt

from headrace.contracts.config import config
from headrace.contracts.errors import ConfigError
from headrace.objectives.choice import ChoiceConfig


@config
class LongConfig(ChoiceConfig):
    """item_dim: of items' embeddings and of all that a candidate reads."""

    item_dim: Annotated[int, Gt(0)] = 16
    feature_dim: Annotated[int, Gt(0)] = 8
    heads: Annotated[int, Gt(0)] = 2
    kept: Annotated[int, Gt(0)] = 40
    """Vectors of the past that a candidate reads."""
    history: Annotated[int, Gt(0)] = 1000
    """The newest events, of which they are made."""
    hidden: tuple[int, ...] = (64, 32)
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.item_dim % self.heads:
            raise ConfigError(f"item_dim = {self.item_dim} is not a multiple of heads = {self.heads}. Change one of them.")
