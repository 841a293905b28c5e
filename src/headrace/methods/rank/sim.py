"""Search-based Interest Model: of a long history a candidate reads the few events that have to do with it.

    hard:  found = the newest k events that share the candidate's category
    soft:  found = the k events of largest  e_t · q,   the newest first where products are equal
    read = multi-head attention of the candidate over found, with each event's age

e_t, q: embedding and features of an event's item and of the candidate. Soft search is meant for embeddings that another model was
trained for. Such are not at hand here: it takes the ranker's own, without gradient, so it moves while the ranker learns. They are
rounded to steps of 2^-12, so that products are exact and ties are seen.
Shapes: found [R, C, k], score [R, C]. Cost a candidate: search O(T L²) of L codes an item (hard) or O(T E) (soft), attention
O(k D), against O(T D) for all events. State: 8 T D bytes a user, and 4 T L (hard) or 4 T E (soft).
Use hard search where categories part interests well: it costs next to nothing, and can be looked up in an index of the user's
events. It is blind across categories, and to a category that is new to the user. Soft search loses while embeddings are young.
Siblings: `eta` searches by hashed bits of the same embeddings, `twin` by what the attention itself would say.
Paper: Pi et al., CIKM 2020. Our reading: docs/papers/sim.md.
"""

from collections.abc import Mapping
from typing import Any, Literal

from torch import Tensor

from headrace.contracts.config import config
from headrace.contracts.errors import ConfigError, listed
from headrace.contracts.interactions import Interactions
from headrace.contracts.seams import Learned, State
from headrace.nn.fields import FieldShapes
from headrace.nn.search import Found, best, products, whole
from headrace.nn.search_scorer import SearchScorer
from headrace.objectives.choice import learned_choice
from headrace.objectives.long_choice import LongConfig


@config
class SIMConfig(LongConfig):
    search: Literal["hard", "soft"] = "hard"
    by: str | None = None
    """The item feature that hard search goes by; else the first by name, those with one code an item before lists."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.by is not None and self.search != "hard":
            raise ConfigError(f'by = "{self.by}" is of hard search, and search is "{self.search}". Leave by out.')


class SIM(SearchScorer):
    """A learned `Scorer`. needs: the fitted features and the candidate lists."""

    Config = SIMConfig
    revision = 1
    config: SIMConfig

    def learn(self, interactions: Interactions, artifacts: Mapping[str, Any]) -> Learned:
        return learned_choice(self, interactions, artifacts)

    def _sought(self, items: Tensor) -> State:
        return {"codes": self.fields.codes(self.by, items)} if self.by is not None else {"own": whole(self._own(items))}

    def _found(self, state: State, target: Tensor, items: Tensor) -> Found:
        there, kept = state["there"], self.config.kept
        if self.by is None:
            return best(products(whole(self._own(items)), state["own"]), there, kept)
        shared = _shared(self.fields.codes(self.by, items), state["codes"])
        return best(shared.float(), shared & there.unsqueeze(1), kept)

    def _make(self, shapes: FieldShapes, stages: int) -> None:
        self.by = None if self.config.search == "soft" else _category(shapes, self.config.by)
        super()._make(shapes, stages)


def _shared(candidates: Tensor, events: Tensor) -> Tensor:
    """[R, C, L] and [R, T, L] -> [R, C, T]: whether they have a code in common. 0 is none."""
    found = None
    for ours in candidates.unbind(-1):
        for theirs in events.unbind(-1):
            same = (ours.unsqueeze(2) == theirs.unsqueeze(1)) & (ours > 0).unsqueeze(2)
            found = same if found is None else found | same
    assert found is not None
    return found


def _category(shapes: FieldShapes, by: str | None) -> str:
    names = sorted(shapes.items, key=lambda name: (len(shapes.items[name][1]), name))
    if not names:
        raise ConfigError('sim: hard search goes by a feature of items, which have none. Set search = "soft", or name features.')
    if by is not None and by not in names:
        raise ConfigError(f'sim: by = "{by}" is no feature of items. They have: {listed(names)}.')
    return by or names[0]
