"""What rankers that read texts share, so that they differ in two things: how an item's tokens become its vectors, and how a user
is made of what they chose.

    tokens_i  of item i's text;      states = reader(tokens)            `reader`
    items_i   = n vectors of i's states   [n, d']                       `_pooled`, each ranker's own
    users_u   = m vectors of the newest items of u   [m, d']            `_user_side`, each ranker's own
    logit     = relevance(users_u, items_i) [+ w · (popularity, what retrievers said)] + b

Users and items meet in the relevance alone, so either side is worked out beforehand. While training, the vectors of a batch's
items are made of their tokens, each different item once. In evaluation they are looked up in a table of all items, which is
worked out once after training stopped, and stored: scoring a page never runs the reader on a candidate. An item beyond the
catalogue that was read, or without a text, has vectors of zeros; so has a user without a history; what stands beside the text
still orders them.
A `frozen` reader's states are worked out once for training too, and held meanwhile: 4 T D bytes an item.
Shapes: tokens [n_items, T] int32; side [R, m, d']; items [R, C, n, d']; logits [R, C]. Cost: a candidate O(m n d'); the table
O(n_items · reader), n_items · n · d' numbers; a step of training O(different items · reader).
Siblings: `nn.list_scorer.ListScorer` for what learns from codes; one frozen vector an item stands with those as `item_vectors`.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Self

import numpy as np
import torch
from annotated_types import Gt
from numpy.typing import NDArray
from torch import Tensor, nn

from headrace.contracts.batch import Batch, Field
from headrace.contracts.config import config
from headrace.contracts.errors import ConfigError, DataError
from headrace.contracts.interactions import Interactions
from headrace.contracts.seams import Learned, Outputs, State
from headrace.data.rank_inputs import USERS, ListBatches, list_schema
from headrace.encode.reading.reader import Reader, ReaderConfig
from headrace.nn.fields import log_popularity
from headrace.nn.list_scorer import ListScorer
from headrace.nn.state import arrays_of, load_arrays_into
from headrace.objectives.choice import TASK, ChoiceConfig, learned_choice

_CHUNK = 256
"""Items whose states are in memory at once, where no gradient is asked."""


@config
class TextConfig(ChoiceConfig):
    reader: ReaderConfig = ReaderConfig()
    history: Annotated[int, Gt(0)] = 20
    """The newest items that are read of a user."""
    side_dim: Annotated[int, Gt(0)] = 32
    """Numbers of each stored vector."""
    vectors: Annotated[int, Gt(0)] = 2
    """Of an item."""
    beside: bool = True
    """The logit also has a linear map of popularity and of what the retrievers said. Without, texts alone order, as in papers."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.table is not None:
            raise ConfigError("table is of items' embeddings, and rankers that read texts have none. Leave it out.")
        if self.perturb is not None and self.perturb.at == "hidden":
            raise ConfigError('perturb: at = "hidden" moves what a head reads, and rankers that read texts have no head. '
                              'Set at = "embedding" or "input".')  # fmt: skip


class TextScorer(ListScorer):
    """A learned `Scorer`. needs: the fitted features, the candidate lists and the items' texts.

    A subclass has `_layers`, `_pooled` (or `_item_side`) and `_user_side`, and a relevance if it is no sum of products.
    """

    needs: tuple[str, ...] = ("features", "candidate_lists", "item_texts")
    precomputed = True
    """A user's state hangs on who they are and what they read, not on when they ask."""
    reads_users = False
    """Whether `_user_side` is given "users", who asks."""
    config: Any
    tokens: Tensor
    popularity: Tensor
    sides: Tensor
    _held: Tensor | None

    def __init__(self, config: Any, *, seed: int = 0):
        super().__init__(config, seed=seed)
        self._settled, self._held = False, None
        self.register_load_state_dict_post_hook(_unsettled)  # type: ignore[no-untyped-call]

    def learn(self, interactions: Interactions, artifacts: Mapping[str, Any]) -> Learned:
        return learned_choice(self, interactions, artifacts)

    def set_up(
        self, interactions: Interactions, artifacts: Mapping[str, Any], *, whole: bool = False, unshown: int = 0
    ) -> ListBatches:
        lists, settings, texts = artifacts["candidate_lists"], self.config, artifacts["item_texts"]
        if len(texts) != interactions.n_items:
            raise DataError(f"{len(texts):,} texts came for {interactions.n_items:,} items. Build the texts of this log again.")
        if not any(texts):
            raise DataError(
                f"None of {len(texts):,} items has a title, a text or categories, and this ranker reads nothing else. "
                "Give items texts, or name another ranker."
            )
        reader = Reader.fitted(settings.reader, texts, self.seed)
        stages = list(lists.candidates.scores)
        self._set(reader, reader.tokenise(texts, settings.reader.tokens).astype(np.int32), len(stages), self._more(interactions))
        self.popularity.copy_(torch.from_numpy(log_popularity(interactions)))
        return ListBatches(
            lists, self.schema, stages, width=settings.width, batch_size=settings.batch_size, seed=self.seed, whole=whole,
            unshown=unshown,
        )  # fmt: skip

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        self._settle()
        return arrays_of(self)

    def user(self, batch: Batch) -> State:
        self._ready()
        return self._user_side(batch)

    def score(self, state: State, candidates: Batch) -> Outputs:
        self._ready()
        items = self.known(candidates["items"])
        logits = self._relevance(state["side"], self.items(items)) + self.bias
        if self.beside is not None:
            said = torch.cat([self.popularity[items].unsqueeze(-1), candidates["retrieval"]], -1)
            logits = logits + self.beside(said).squeeze(-1)
        return Outputs({TASK: logits})

    def known(self, items: Tensor) -> Tensor:
        """An item of a catalogue that has grown since is unknown."""
        return items.masked_fill(items >= len(self.tokens), 0)

    def items(self, items: Tensor) -> Tensor:
        """Known items [..] -> their vectors [.., n, d']: of their tokens while training, else of the table."""
        if not self.training:
            return self.sides[items]
        different, place = torch.unique(items, return_inverse=True)
        return self._side(different)[place]

    def train(self, mode: bool = True) -> Self:
        if mode:
            self._settled = False  # weights may move now
        return super().train(mode)

    def _layers(self) -> None:
        """Makes them, in an order that stays. `reader` and `more`'s buffers are there."""
        raise NotImplementedError

    def _pooled(self, states: Tensor, there: Tensor) -> Tensor:
        """states [N, T, D], there [N, T] -> [N, n, d']."""
        raise NotImplementedError

    def _user_side(self, batch: Batch) -> State:
        """{"side": [R, m, d'], ..}; "history" is oldest first, 0 behind."""
        raise NotImplementedError

    def _item_side(self, ids: Tensor, there: Tensor) -> Tensor:
        """ids, there [N, T] -> [N, n, d']. What it gives an item without a token is not read."""
        return self._pooled(self.reader.states(ids, there), there)

    def _relevance(self, side: Tensor, items: Tensor) -> Tensor:
        """side [R, m, d'], items [R, C, n, d'] -> [R, C]."""
        found: Tensor = (items.sum(2) @ side.sum(1).unsqueeze(-1)).squeeze(-1)
        return found

    def _joined(self, text: Tensor, said: Tensor, items: Tensor) -> Tensor:
        """text [N, n, d'] of items [N], where `said` [N] they have one -> [N, n, d']; zeros: nothing is known of the item."""
        return text * said.view(-1, 1, 1)

    def _more(self, interactions: Interactions) -> Mapping[str, NDArray[Any]]:
        """What else of the log is kept as buffers, by name."""
        return {}

    def _side(self, items: Tensor) -> Tensor:
        """[N] -> [N, n, d'], of their tokens."""
        ids = self.tokens[items].long()
        there = ids > 0
        alone = type(self)._item_side is TextScorer._item_side
        if self.config.reader.frozen and alone and (self.training or self._held is not None):
            found = self._pooled(self._states_held()[items], there)
        else:
            found = self._item_side(ids, there)
        return self._joined(found, there.any(1), items)

    @torch.no_grad()
    def _states_held(self) -> Tensor:
        """[n_items, T, D], of a reader that never changes."""
        if self._held is None:
            self._held = torch.cat([self.reader.states(ids, ids > 0) for ids in torch.split(self.tokens, _CHUNK)])
        self._held = self._held.to(self.tokens.device)
        return self._held

    def _ready(self) -> None:
        if not self.training:
            self._settle()

    @torch.no_grad()
    def _settle(self) -> None:
        """Works the table out, if weights may have moved since it was."""
        if self._settled:
            return
        was = self.training
        self.eval()
        for items in torch.split(torch.arange(len(self.tokens), device=self.tokens.device), _CHUNK):
            self.sides[items] = self._side(items)
        self._settled = True
        self.train(was)

    def _filled(self, arrays: Mapping[str, NDArray[Any]]) -> Self:
        own = {name.removeprefix("reader."): values for name, values in arrays.items() if name.startswith("reader.")}
        more = {name.removeprefix("more_"): values for name, values in arrays.items() if name.startswith("more_")}
        self._set(Reader.from_arrays(self.config.reader, own), arrays["tokens"], int(arrays["stages"]), more)
        load_arrays_into(self, arrays)
        self._settled = True
        return self

    def _set(self, reader: Reader, tokens: NDArray[Any], stages: int, more: Mapping[str, NDArray[Any]]) -> None:
        settings = self.config
        self.reader = reader
        self.register_buffer("stages", torch.tensor(stages))
        self.register_buffer("tokens", torch.from_numpy(np.array(tokens)))
        self.register_buffer("popularity", torch.zeros(len(tokens)))
        self.register_buffer("sides", torch.zeros(len(tokens), settings.vectors, settings.side_dim))
        for name, values in more.items():
            self.register_buffer(f"more_{name}", torch.from_numpy(np.array(values)))
        self._layers()
        self.beside = nn.Linear(1 + 3 * stages, 1, bias=False) if settings.beside else None
        self.bias = nn.Parameter(torch.zeros(()))
        users = {USERS: Field("int64", ("rows",))} if self.reads_users else {}
        self.schema = {"history": Field("int64", ("rows", settings.history)), **users}
        self.candidate_schema = list_schema(stages)


def _unsettled(scorer: TextScorer, _: object) -> None:
    """Other weights were read, and perhaps another's table."""
    scorer._settled = False
