"""A small language model whose words are codes: it reads the codes of a history and writes those of the next interest.

    P(a | history) = Π_l P(c_l | c_1 .. c_{l-1}, codes of the newest items)       a decoder alone, each level's softmax its own

Trained on what users chose, in time order, with popular items thinned (`data.thinned`): what everybody takes says little of a
user, and pseudo-labels are for what was not shown. It writes n interests by beam search inside the tree of codes that available
items have, level by level, so that beams share what they have in common (`nn.decode.continued`).
Shapes: history [R, T] -> tokens [R, T L] -> codes [R, n, L]. Cost of training O(layers (T L d² + T² L² d)) a window; of writing a
pass over the history and L - 1 tokens a beam.
Use it on CPUs and wherever codes and histories are all there is. A pre-trained language model knows words beside, at a thousand
times the cost. Relation to retrieve/tiger: the same codes without an encoder and without the level that tells items apart.
Paper: GPL (arXiv 2602.20995), which fine-tunes Qwen2.5-0.5B; this small body is our reading: docs/papers/gpl.md.
"""

from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any

import numpy as np
import torch
from annotated_types import Ge, Gt, Lt
from numpy.typing import NDArray
from torch import Tensor, nn

from headrace.contracts.batch import Batch
from headrace.contracts.config import config
from headrace.contracts.errors import ConfigError, DataError
from headrace.contracts.interactions import Interactions
from headrace.contracts.requests import Float32, History, Int32
from headrace.contracts.seams import Learned
from headrace.contracts.training import TrainConfig
from headrace.data.prefixes import only_readable
from headrace.data.thinned import ThinnedWindows
from headrace.encode.semantic_ids.anchors import interests
from headrace.encode.semantic_ids.coded import Coded, only, others
from headrace.encode.semantic_ids.ids import SemanticIds
from headrace.encode.semantic_ids.trie import Trie
from headrace.methods.prerank.anchors.writer import fingerprint_of
from headrace.nn.body.call import Inputs
from headrace.nn.body.config import TransformerConfig
from headrace.nn.body.transformer import Transformer
from headrace.nn.decode.beam import beam_search
from headrace.nn.decode.continued import Continuing
from headrace.nn.state import arrays_of, load_arrays_into
from headrace.objectives.codes import NextCodes

_ROWS_AT_ONCE = 256


@config
class CausalConfig:
    dim: Annotated[int, Gt(0)] = 64
    layers: Annotated[int, Gt(0)] = 2
    heads: Annotated[int, Gt(0)] = 4
    hidden: Annotated[int, Ge(0)] = 0
    """Of the feed-forward; 0: 4·dim."""
    length: Annotated[int, Gt(0)] = 20
    """Newest items that are read."""
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.1
    thin: Annotated[float, Ge(0)] = 1e-3
    """Share of all events above which an item's events are thinned; 0: none are."""
    batch_size: Annotated[int, Gt(0)] = 128
    train: TrainConfig = TrainConfig(epochs=10, weight_decay=1e-2)

    def __post_init__(self) -> None:
        if self.dim % self.heads:
            raise ConfigError(f"causal: dim is {self.dim} and heads {self.heads}: dim must be a multiple of heads.")


class CausalWriter(nn.Module):
    """A learned `AnchorWriter`. needs: every item's codes."""

    Config = CausalConfig
    revision = 1
    needs: tuple[str, ...] = ("semantic_ids",)
    at_once = 2048

    def __init__(self, config: CausalConfig, *, seed: int = 0):
        super().__init__()
        self.config, self.seed, self.cut_us = config, seed, 0

    def learn(self, interactions: Interactions, artifacts: Mapping[str, Any]) -> Learned:
        ids, settings = Coded.of(interactions, artifacts["semantic_ids"], "causal").ids, self.config
        history = only_readable(interactions.history, ids.there)
        if not (history.lengths > 1).any():
            raise DataError(
                "causal: no user has two events of items with codes, so there is no sequence to learn from. Give the writer the "
                "log's positive events, and semantic ids that cover their items."
            )
        self._make(Coded(ids, interactions.available & ids.there), interactions.cut_us)
        batches = ThinnedWindows(history, settings.thin, length=settings.length, batch_size=settings.batch_size, seed=self.seed)
        return Learned(self, [NextCodes()], batches, needs=self.needs, made_of={"semantic_ids": ids.fingerprint})

    def states_and_codes(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """[P, L, d] and [P, L]: of every target, in one pass."""
        targets, levels = batch["targets"], len(self.sizes)
        items = torch.cat([batch["items"][:, :1], targets], 1)
        tokens = self.tokens[items].flatten(1)
        read: Tensor = self.body(Inputs(ids=tokens[:, :-1])).last
        states = read[:, levels - 1 :].reshape(*targets.shape, levels, -1)
        there = targets > 0
        return states[there], self.tokens[targets[there]] - self.starts

    def vectors(self) -> list[Tensor]:
        """[sizes[level], d] each: a logit is a state's product with one of them."""
        return list(torch.split(self.body.output_vectors()[1:], list(self.sizes)))

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
        starts = self.starts.tolist()
        for length in np.unique(past.lengths[past.lengths > 0]).tolist():
            alike = np.flatnonzero(past.lengths == length)
            for rows in np.split(alike, range(_ROWS_AT_ONCE, len(alike), _ROWS_AT_ONCE)):
                items = torch.from_numpy(past.take(rows).last(length).astype(np.int64)).to(self.tokens.device)
                decoding = Continuing(self.body, starts, self.sizes, self.tokens[items].flatten(1))
                found, scores = beam_search(decoding, self.tree, n, seed=self.seed)
                codes[rows], log_prob[rows] = self.interests.codes[found.cpu().numpy()], scores.cpu().numpy()
        return codes, log_prob

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        own = {"seed": np.array(self.seed), "cut_us": np.array(self.cut_us, np.int64)}
        return {**arrays_of(self), **self.coded.arrays(), **own}

    @classmethod
    def from_arrays(cls, config: CausalConfig, arrays: Mapping[str, NDArray[Any]]) -> "CausalWriter":
        made = cls(config, seed=int(arrays["seed"]))
        made._make(Coded.from_arrays(arrays, "causal"), int(arrays["cut_us"]))
        load_arrays_into(made, {name: values for name, values in others(arrays).items() if name not in ("seed", "cut_us")})
        return made

    @cached_property
    def interests(self) -> SemanticIds:
        """Those it may write."""
        return interests(only(self.ids, self.coded.proposed))

    @cached_property
    def tree(self) -> Trie:
        return Trie(self.interests).to(self.tokens.device)

    def _make(self, coded: Coded, cut_us: int) -> None:
        settings, self.coded, self.cut_us = self.config, coded, cut_us
        self.sizes = coded.ids.sizes[:-1]
        self.body = Transformer(
            TransformerConfig(
                dim=settings.dim, decoder_layers=settings.layers, heads=settings.heads, hidden=settings.hidden,
                vocabulary=1 + sum(self.sizes), tie=False, norm="rms", bias="none", dropout=settings.dropout,
            ),
            "decoder",
        )  # fmt: skip
        self.register_buffer("tokens", torch.from_numpy(coded.ids.tokens[:, :-1].copy()), persistent=False)
        self.register_buffer("starts", torch.from_numpy(coded.ids.starts[:-1].copy()), persistent=False)
        self.tokens: Tensor
        self.starts: Tensor
