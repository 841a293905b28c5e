"""SASRec with a full softmax: a causal Transformer reads the history and points at the next item in its embedding space.

    h_t = Transformer(E[i_1] + p_1, ..., E[i_t] + p_t),   logit(t, j) = h_t · E[j],   loss = cross-entropy over the catalogue

Shapes: items [B, T] -> hidden [B, T, d] -> logits [.., n_items]. Cost O(T² d + T d² + T N d) a row; of an answer by
index = "codes" not N d but what a look-up in a vector index takes (`encode.codes`).
Use it where order matters and there are tens of thousands of events. The paper trains with one sampled negative and binary
cross-entropy; the full softmax is what makes it strong (our reading: docs/papers/sasrec.md). It loses to ItemKNN on short
logs, and knows nothing of an item it was not trained on.
Paper: Kang and McAuley, ICDM 2018, section 3; full softmax after Klenitskiy and Vasilev, RecSys 2023.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
import torch
from annotated_types import Ge, Gt, Lt
from numpy.typing import NDArray
from torch import Tensor, nn

from headrace.contracts.config import config
from headrace.contracts.errors import ConfigError
from headrace.contracts.interactions import Interactions
from headrace.contracts.requests import Allowed, Candidates, Requests
from headrace.contracts.seams import Learned
from headrace.contracts.training import TrainConfig
from headrace.data.negatives import Uniform
from headrace.data.sequences import WindowBatches
from headrace.encode.nearest import Nearest, NearestConfig, is_of_index, need_index
from headrace.nn.body.call import Inputs
from headrace.nn.body.config import TransformerConfig
from headrace.nn.body.stack import Stack
from headrace.nn.state import arrays_of, load_arrays_into
from headrace.nn.topk import top_k
from headrace.objectives.pointwise import OneNegative
from headrace.objectives.softmax import NextItem


@config
class SASRecConfig(NearestConfig):
    dim: Annotated[int, Gt(0)] = 64
    layers: Annotated[int, Gt(0)] = 2
    heads: Annotated[int, Gt(0)] = 2
    length: Annotated[int, Gt(1)] = 50
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.2
    batch_size: Annotated[int, Gt(0)] = 64
    loss: Literal["softmax", "one_negative"] = "softmax"
    """one_negative: the paper's binary cross-entropy with one uniform negative a position, a weaker baseline."""
    train: TrainConfig = TrainConfig(epochs=40)

    def __post_init__(self) -> None:
        if self.dim % self.heads:
            raise ConfigError(f"sasrec: dim is {self.dim} and heads {self.heads}: dim must be a multiple of heads.")


class SASRec(nn.Module):
    """A learned `Retriever`."""

    Config = SASRecConfig
    revision = 3
    needs = ()

    def __init__(self, config: SASRecConfig, *, seed: int = 0):
        super().__init__()
        self.config, self.seed = config, seed
        self._nearest: Nearest | None = None
        self.register_load_state_dict_post_hook(_forget)  # type: ignore[no-untyped-call]

    def learn(self, interactions: Interactions, artifacts: Mapping[str, Any]) -> Learned:
        need_index(self.config)
        self._make(interactions.n_items)
        self.available.copy_(torch.from_numpy(interactions.available & (interactions.item_counts() > 0)))
        settings = self.config
        batches = WindowBatches(interactions.history, length=settings.length, batch_size=settings.batch_size, seed=self.seed)
        objective = NextItem() if settings.loss == "softmax" else OneNegative(Uniform(interactions.n_items))
        return Learned(self, [objective], batches)

    def hidden(self, items: Tensor) -> Tensor:
        """[B, T] -> [B, T, d]: position t has read items 0..t."""
        read: Tensor = self.body(self.items(items) * self.config.dim**0.5, Inputs()).last
        return read

    def logits(self, hidden: Tensor) -> Tensor:
        """[.., d] -> [.., n_items]."""
        return hidden @ self.item_vectors().T

    def item_vectors(self) -> Tensor:
        """[n_items, d]: the embeddings are the output layer too."""
        return self.items.weight

    def scores(self, hidden: Tensor, items: Tensor) -> Tensor:
        """The logits of one item a position: [.., d], [..] -> [..]."""
        found: Tensor = (hidden * self.items(items)).sum(-1)
        return found

    @torch.inference_mode()
    def retrieve(self, requests: Requests, k: int, allowed: Allowed) -> Candidates:
        """A request without a known past item gets nothing: there is no sequence to read."""
        self.eval()
        past = requests.history.last(self.config.length)
        past = np.where(past < self.items.num_embeddings, past, 0)
        scores = np.full((len(requests), self.items.num_embeddings), -np.inf, np.float32)
        known = np.asarray((past > 0).any(1))
        if known.any():
            items = torch.from_numpy(past[known].astype(np.int64)).to(self.available.device)
            ends = np.minimum(requests.history.lengths[known], self.config.length) - 1
            last = self.hidden(items)[torch.arange(len(items)), torch.from_numpy(ends)]
            if (nearest := self.nearest) is not None:
                queries = np.zeros((len(requests), self.config.dim), np.float32)
                queries[known] = last.cpu().numpy()
                return nearest.propose(queries, k, allowed, "sasrec", known)
            scores[known] = self.logits(last).masked_fill(~self.available, -torch.inf).cpu().numpy()
        return top_k(allowed.mask(scores), k, "sasrec", seed=self.seed)

    @property
    def nearest(self) -> Nearest | None:
        """Of the items' vectors as they stand; None where all are compared."""
        if self.config.index == "codes" and self._nearest is None:
            of = self.eval().item_vectors().detach().cpu().numpy(), self.available.cpu().numpy()
            self._nearest = Nearest.over(*of, self.config, seed=self.seed)
        return self._nearest

    def train(self, mode: bool = True) -> "SASRec":
        if mode:
            _forget(self)
        super().train(mode)
        return self

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        index = {} if self.nearest is None else self.nearest.arrays()
        return {**arrays_of(self), "seed": np.array(self.seed), **index}

    @classmethod
    def from_arrays(cls, config: SASRecConfig, arrays: Mapping[str, NDArray[Any]]) -> "SASRec":
        made = cls(config, seed=int(arrays["seed"]))
        made._make(len(arrays["items.weight"]))
        load_arrays_into(made, {name: values for name, values in arrays.items() if name != "seed" and not is_of_index(name)})
        if config.index == "codes":
            of = made.eval().item_vectors().detach().numpy(), made.available.numpy()
            made._nearest = Nearest.over(*of, config, seed=made.seed, arrays=arrays)
        return made

    def _make(self, n_items: int) -> None:
        settings = self.config
        self.items = nn.Embedding(n_items, settings.dim)
        nn.init.normal_(self.items.weight, std=settings.dim**-0.5)
        body = TransformerConfig(
            dim=settings.dim, decoder_layers=settings.layers, heads=settings.heads, length=settings.length,
            dropout=settings.dropout, position="learned", init="fan_in", bias="feed_forward",
        )  # fmt: skip
        self.body = Stack(body, "decoder")
        self.register_buffer("available", torch.ones(n_items, dtype=torch.bool))
        self.available: Tensor


def _forget(model: SASRec, *_: Any) -> None:
    """The index, where the vectors may become others."""
    model._nearest = None
