"""SPAR: a long history of texts read in sessions, and brought to a few vectors a user and an item that are stored apart.

    H = sessions of the newest k items, each read by itself          [L, D], a written summary before it if asked
    Y = k codes over H, code a sees what is near item a, all <sos>, and a random share of the rest          UHS, sparse
    users_u = W_u · (m codes over Y)      [m, d']                     UIE
    items_i = W_i · (n codes over the states of i's own tokens)      [n, d']                                CCS
    logit   = relevance(users_u, items_i)                             `encode/reading/relevance.py`

Shapes: L at most k T and the summary's tokens. Cost: a user's side k / p readings of p T tokens and O(k L D) of attention, once a
request or beforehand; a candidate O(m n d'), which is all that is done while they wait. Kept: m d' numbers a user, n d' an item.
Use it where what users read says more than which items they were, and histories are longer than a reader takes. It loses where
items' texts say little of why they were chosen; there `din` and `hisac` read ids. Siblings on the same reader: `mean_text`,
`nrms` and `naml` have one vector a user; `embsum` writes its own summary and reads that.
Paper: SPAR (arXiv 2402.10555); where windows stand, what fewer items mean and sizes are our reading: docs/papers/spar.md.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
import torch
from annotated_types import Ge, Gt, Le
from numpy.typing import NDArray
from torch import Tensor, nn

from headrace.contracts.batch import Batch
from headrace.contracts.config import config
from headrace.contracts.errors import ConfigError, DataError
from headrace.contracts.interactions import Interactions
from headrace.contracts.requests import Requests
from headrace.contracts.seams import Learned, State
from headrace.data.rank_inputs import USERS
from headrace.encode.reading.poly import PolyAttention, Visible
from headrace.encode.reading.reader import Reader
from headrace.encode.reading.relevance import Relevance
from headrace.encode.reading.sessions import ReadHistory, read_in_sessions, tokens_at_most
from headrace.encode.reading.text_scorer import TextConfig, TextScorer


@config
class SPARConfig(TextConfig):
    """window, starts, share: what a code of UHS sees; with 0, false and 0 all of it, dense."""

    session: Annotated[int, Gt(0)] = 5
    """Items read together. 1: each by itself; as many as `history`: all in one pass."""
    user_vectors: Annotated[int, Gt(0)] = 8
    """m, of a user. `vectors` is n, of an item."""
    uhs: bool = True
    """Without, the states of items' <sos> stand for them."""
    uie: bool = True
    """Without, a user keeps a vector for each item read."""
    ccs: bool = True
    """Without, an item is the state of its <sos>, and `vectors` is 1."""
    window: Annotated[int, Ge(0)] = 64
    """Tokens around its own item that a code sees."""
    starts: bool = True
    """The <sos> of all items are seen too."""
    share: Annotated[float, Ge(0), Le(1)] = 0.1
    """Of each other token's chance to be seen."""
    summary: Literal["none", "written", "alone"] = "none"
    """written: stands before the history; alone: is read in its place."""
    summary_tokens: Annotated[int, Gt(2)] = 48
    """Of a summary; what is longer is cut."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.ccs and self.vectors != 1:
            raise ConfigError(f"ccs = false: an item is one vector, its <sos>, and vectors = {self.vectors}. Set vectors = 1.")
        if self.summary == "alone" and not self.uie:
            raise ConfigError('summary = "alone": a summary is read by uie, and uie = false. Leave uie as it is.')


class SPAR(TextScorer):
    """A learned `Scorer`, `Summarising`. needs: also users' summaries, which are read unless `summary` is "none"."""

    Config = SPARConfig
    revision = 1
    needs: tuple[str, ...] = ("features", "candidate_lists", "item_texts", "summaries")
    config: SPARConfig
    more_summary: Tensor

    def __init__(self, config: SPARConfig, *, seed: int = 0):
        super().__init__(config, seed=seed)
        self.reads_users = config.summary != "none"
        if not self.reads_users:
            self.needs = TextScorer.needs
        self._summaries: tuple[str, ...] = ()

    def learn(self, interactions: Interactions, artifacts: Mapping[str, Any]) -> Learned:
        if self.reads_users:
            self._summaries = artifacts["summaries"].texts
            if not any(self._summaries):
                raise DataError(
                    f'spar: summary = "{self.config.summary}", and none of {len(self._summaries):,} users has one. '
                    'Set [summaries] source, or summary = "none".'
                )
        return super().learn(interactions, artifacts)

    @torch.no_grad()
    def summaries_of(self, requests: Requests) -> list[str]:
        """What was read of each, cut where it was."""
        if not self.reads_users:
            return [""] * len(requests)
        return self.reader.words(self._written(torch.from_numpy(requests.users.astype(np.int64))))

    @torch.no_grad()
    def attention(self, batch: Batch) -> Tensor:
        """[R, k, L]: the weights of UHS."""
        read = self._read(batch)
        return self.summarise.weights(read.states, read.there, self._visible(read))

    @property
    def _session(self) -> int:
        return min(self.config.session, self.config.history)

    def _layers(self) -> None:
        settings, dim, most = self.config, self.reader.dim, self.reader.longest
        together = max(self._session * settings.reader.tokens, settings.summary_tokens if self.reads_users else 0)
        if most is not None and together > most:
            raise ConfigError(
                f"spar: the reader takes {most:,} tokens at once, and a session or a summary is up to {together:,}. Set a "
                "smaller session, fewer tokens of an item, or fewer summary_tokens."
            )
        if settings.uhs and settings.summary != "alone":
            prefix = settings.summary_tokens if self.reads_users else 0
            longest = tokens_at_most(settings.history, self._session, settings.reader.tokens, prefix)
            self.summarise = PolyAttention(dim, settings.history)
            self.visible = Visible(
                settings.history, longest, window=settings.window, starts=settings.starts, share=settings.share, seed=self.seed
            )
        if settings.uie:
            self.extract = PolyAttention(dim, settings.user_vectors)
        if settings.ccs:
            self.content = PolyAttention(dim, settings.vectors)
        # without a bias: a code that saw nothing stays zeros
        self.out_user = nn.Linear(dim, settings.side_dim, bias=False)
        self.out_item = nn.Linear(dim, settings.side_dim, bias=False)
        self.relevance = Relevance(settings.side_dim)

    def _pooled(self, states: Tensor, there: Tensor) -> Tensor:
        found: Tensor = self.out_item(self.content(states, there) if self.config.ccs else states[:, :1])
        return found

    def _user_side(self, batch: Batch) -> State:
        if self.config.summary == "alone":
            ids = self._written(batch[USERS])
            found = self.extract(self.reader.states(ids, ids > 0), ids > 0)
        else:
            found = self._history(self._read(batch))
        return {"side": self.out_user(found)}

    def _history(self, read: ReadHistory) -> Tensor:
        """[R, m, D], or [R, k, D] without uie."""
        settings = self.config
        if settings.uhs:
            visible = self._visible(read)
            each = self.summarise(read.states, read.there, visible)
            there = read.items if visible is not None else read.there.any(1, keepdim=True).expand(-1, settings.history)
        else:
            each, there = read.item_starts(), read.items
        found: Tensor = self.extract(each, there) if settings.uie else each
        return found

    def _relevance(self, side: Tensor, items: Tensor) -> Tensor:
        found: Tensor = self.relevance(side, items, (side != 0).any(-1))
        return found

    def _read(self, batch: Batch) -> ReadHistory:
        tokens = self.tokens[self.known(batch["history"])].long()
        prefix = self._written(batch[USERS]) if self.reads_users else None
        return read_in_sessions(self.reader, tokens, self._session, prefix)

    def _visible(self, read: ReadHistory) -> Tensor | None:
        settings = self.config
        if not (settings.window or settings.starts or settings.share):
            return None
        found: Tensor = self.visible(read.item_of, read.starts, read.there)
        return found

    def _written(self, users: Tensor) -> Tensor:
        """[R] -> [R, S]: their summaries' tokens; of a user who came since, none."""
        table = self.more_summary
        return table[users.masked_fill(users >= len(table), 0)].long()

    def _set(self, reader: Reader, tokens: NDArray[Any], stages: int, more: Mapping[str, NDArray[Any]]) -> None:
        if self.reads_users and not more:
            more = {"summary": reader.tokenise(self._summaries, self.config.summary_tokens).astype(np.int32)}
            self._summaries = ()
        super()._set(reader, tokens, stages, more)
