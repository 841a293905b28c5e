"""What scorers trained on candidate lists share: their shapes come from the lists, their item side from the catalogue.

A subclass has `Config` and `revision`, builds its layers in `_make`, and says in `learn` which objectives it is trained on.
"""

from collections.abc import Mapping
from typing import Any, Self

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from headrace.contracts.batch import Schema
from headrace.contracts.interactions import Interactions
from headrace.data.rank_inputs import ListBatches, list_schema
from headrace.nn.fields import FieldEmbeddings, FieldShapes
from headrace.nn.state import arrays_of, load_arrays_into
from headrace.nn.tables import TableConfig


class ListScorer(nn.Module):
    """A learned `Scorer`. needs: the fitted features and the candidate lists."""

    needs: tuple[str, ...] = ("features", "candidate_lists")
    reads_pairs = True
    fields_at = "fields"
    """Where the `FieldEmbeddings` stand."""
    schema: Schema
    candidate_schema: Schema
    stages: Tensor

    def __init__(self, config: Any, *, seed: int = 0):
        super().__init__()
        self.config, self.seed = config, seed

    def set_up(
        self, interactions: Interactions, artifacts: Mapping[str, Any], *, whole: bool = False, unshown: int = 0
    ) -> ListBatches:
        """Makes the parameters; what they are to be trained on. whole, unshown: as `ListBatches` has them."""
        lists, features, settings = artifacts["candidate_lists"], artifacts["features"], self.config
        stages = list(lists.candidates.scores)
        pairs = sorted(lists.candidates.features) if self.reads_pairs else []
        vectors = features.item_vectors
        users = [
            name for name in lists.requests.features if name in features.sizes
        ]  # codes; vectors are read by who asks for them
        self._begin(
            FieldShapes.of(interactions, users, features.sizes, pairs=pairs, vectors=vectors, table=self._table),
            len(stages),
        )
        self._fields.fill(interactions, vectors)
        return ListBatches(
            lists, self.schema, stages, pairs=pairs, width=settings.width, batch_size=settings.batch_size, seed=self.seed,
            whole=whole, unshown=unshown,
        )  # fmt: skip

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        return arrays_of(self)

    @classmethod
    def from_arrays(cls, config: Any, arrays: Mapping[str, NDArray[Any]]) -> Self:
        return cls(config)._filled(arrays)

    @property
    def probabilities(self) -> bool:
        """Whether the sigmoid of a logit is one, rather than a score that orders a request's candidates alone."""
        return getattr(self.config, "loss", "listwise") == "pointwise"

    @property
    def _table(self) -> TableConfig | None:
        return getattr(self.config, "table", None)

    @property
    def _fields(self) -> FieldEmbeddings:
        return self.get_submodule(self.fields_at)  # type: ignore[return-value]

    def _filled(self, arrays: Mapping[str, NDArray[Any]]) -> Self:
        self._begin(FieldShapes.stored(arrays, f"{self.fields_at}.", table=self._table), int(arrays["stages"]))
        load_arrays_into(self, arrays)
        return self

    def _begin(self, shapes: FieldShapes, stages: int) -> None:
        self.register_buffer("stages", torch.tensor(stages))
        self._make(shapes, stages)
        self.schema = self._fields.schema(self.config.history)
        self.candidate_schema = list_schema(stages, sorted(shapes.pairs))

    def _make(self, shapes: FieldShapes, stages: int) -> None:
        """Layers, in an order that stays: initial weights are drawn in it."""
        raise NotImplementedError
