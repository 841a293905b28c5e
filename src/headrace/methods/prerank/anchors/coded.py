"""What writers that read and write codes have in common, whatever model is behind it: windows, beams, and what is stored.

    P(a | history) = Π_l P(c_l | c_1 .. c_{l-1}, codes of the newest items)       each level's softmax its own

Trained on what users chose, in time order, with popular items thinned (`data.thinned`): what everybody takes says little of a
user, and pseudo-labels are for what was not shown. It writes n interests by beam search inside the tree of codes that available
items have, level by level, so that beams share what they have in common.
Shapes: history [R, T] -> tokens [R, T L] -> codes [R, n, L].
Paper: GPL (arXiv 2602.20995); docs/papers/gpl.md says what is our reading.
"""

from abc import abstractmethod
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from headrace.contracts.batch import Batch
from headrace.contracts.errors import DataError
from headrace.contracts.interactions import Interactions
from headrace.contracts.requests import Float32, History, Int32
from headrace.contracts.seams import Learned
from headrace.data.prefixes import only_readable
from headrace.data.thinned import ThinnedWindows
from headrace.encode.semantic_ids.anchors import interests
from headrace.encode.semantic_ids.coded import Coded, only, others
from headrace.encode.semantic_ids.ids import SemanticIds
from headrace.encode.semantic_ids.trie import Trie
from headrace.methods.prerank.anchors.writer import fingerprint_of
from headrace.nn.decode.beam import Decoding, beam_search
from headrace.nn.state import arrays_of, load_arrays_into
from headrace.objectives.codes import NextCodes


class CodedWriter(nn.Module):
    """A learned `AnchorWriter`. needs: every item's codes. Its config has length, thin, batch_size and train.

    rows: users whose history is read together. name: its own, for errors. tokens [n_items, L] and starts [L]: of every item's
    codes and of each level, 0 for an item without codes; sizes: symbols of each level that is written.
    """

    Config: Any
    revision: int
    name: str
    needs: tuple[str, ...] = ("semantic_ids",)
    at_once: int
    rows: int
    tokens: Tensor
    starts: Tensor

    def __init__(self, config: Any, *, seed: int = 0):
        super().__init__()
        self.config, self.seed, self.cut_us = config, seed, 0

    @abstractmethod
    def build(self) -> None:
        """The model, of `sizes`."""

    @abstractmethod
    def read(self, tokens: Tensor) -> Tensor:
        """[B, S] -> the state after each, [B, S, d]; none sees what follows it."""

    @abstractmethod
    def vectors(self) -> list[Tensor]:
        """[sizes[level], d] each: a logit is a state's product with one of them."""

    @abstractmethod
    def going_on(self, tokens: Tensor) -> Decoding:
        """From rows [R, S] without padding."""

    def learn(self, interactions: Interactions, artifacts: Mapping[str, Any]) -> Learned:
        ids, settings = Coded.of(interactions, artifacts["semantic_ids"], self.name).ids, self.config
        history = only_readable(interactions.history, ids.there)
        if not (history.lengths > 1).any():
            raise DataError(
                f"{self.name}: no user has two events of items with codes, so there is no sequence to learn from. Give the "
                "writer the log's positive events, and semantic ids that cover their items."
            )
        self._make(Coded(ids, interactions.available & ids.there), interactions.cut_us)
        batches = ThinnedWindows(history, settings.thin, length=settings.length, batch_size=settings.batch_size, seed=self.seed)
        return Learned(self, [NextCodes()], batches, needs=self.needs, made_of={"semantic_ids": ids.fingerprint})

    def states_and_codes(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """[P, L, d] and [P, L]: of every target, in one pass."""
        targets, levels = batch["targets"], len(self.sizes)
        items = torch.cat([batch["items"][:, :1], targets], 1)
        tokens = self.tokens[items].flatten(1)
        states = self.read(tokens[:, :-1])[:, levels - 1 :].reshape(*targets.shape, levels, -1)
        there = targets > 0
        return states[there], self.tokens[targets[there]] - self.starts

    @property
    def ids(self) -> SemanticIds:
        return self.coded.ids

    @property
    def fingerprint(self) -> str:
        return fingerprint_of(self)

    def readable(self, history: History) -> History:
        """The newest events of items that have codes."""
        return only_readable(history, self.ids.there).newest(self.config.length)

    @torch.inference_mode()
    def write(self, history: History, n: int) -> tuple[Int32, Float32]:
        """Rows of one length are read together: none of them has padding, so none hangs on the others."""
        self.eval()
        codes = np.full((len(history), n, len(self.sizes)), -1, np.int32)
        log_prob = np.full((len(history), n), -np.inf, np.float32)
        past = self.readable(history)
        for length in np.unique(past.lengths[past.lengths > 0]).tolist():
            alike = np.flatnonzero(past.lengths == length)
            for rows in np.split(alike, range(self.rows, len(alike), self.rows)):
                items = torch.from_numpy(past.take(rows).last(length).astype(np.int64)).to(self.tokens.device)
                found, scores = beam_search(self.going_on(self.tokens[items].flatten(1)), self.tree, n, seed=self.seed)
                codes[rows], log_prob[rows] = self.interests.codes[found.cpu().numpy()], scores.cpu().numpy()
        return codes, log_prob

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        own = {"seed": np.array(self.seed), "cut_us": np.array(self.cut_us, np.int64)}
        return {**arrays_of(self), **self.coded.arrays(), **own}

    @classmethod
    def from_arrays(cls, config: Any, arrays: Mapping[str, NDArray[Any]]) -> Self:
        made = cls(config, seed=int(arrays["seed"]))
        made._put_back(arrays)
        return made

    @cached_property
    def interests(self) -> SemanticIds:
        """Those it may write."""
        return interests(only(self.ids, self.coded.proposed))

    @cached_property
    def tree(self) -> Trie:
        return Trie(self.interests).to(self.tokens.device)

    def _put_back(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        self._make(Coded.from_arrays(arrays, self.name), int(arrays["cut_us"]))
        load_arrays_into(self, {name: values for name, values in others(arrays).items() if name not in ("seed", "cut_us")})

    def _make(self, coded: Coded, cut_us: int) -> None:
        self.coded, self.cut_us = coded, cut_us
        self.sizes = coded.ids.sizes[:-1]
        self.build()
        self.register_buffer("tokens", torch.from_numpy(coded.ids.tokens[:, :-1].copy()), persistent=False)
        self.register_buffer("starts", torch.from_numpy(coded.ids.starts[:-1].copy()), persistent=False)
