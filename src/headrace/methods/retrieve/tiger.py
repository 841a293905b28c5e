"""TIGER: a Transformer reads the codes of a history and writes the codes of the next item.

    memory = Encoder(codes of the newest items),   P(item | history) = Π_l P(c_l | c_1 .. c_{l-1}, memory)

An item is a few codes whose first ones like items share (`encode/semantic_ids`), so there is no table of items: what is learned
of an item's codes is learned of all that share them. Retrieval writes the most probable codes by beam search inside the tree of
available items that were trained on, so every answer is an item; scores are log-probabilities.
Shapes: history [R, T] -> tokens [R, T L] -> items [R, k]. Cost of training O(T² L² d + T L d²) an event; of a request a pass of
the encoder and L of the decoder for each beam. Memory does not grow with the catalogue, but for L codes an item.
Use it where the catalogue is large and its items have texts. It costs many times SASRec's training for an event, it proposes no
item that was never chosen (LIGER does), and a last-item Markov chain may beat it where the next item follows from the last.
Paper: Rajput et al., NeurIPS 2023 (arXiv 2305.05065), section 3. Our reading: docs/papers/tiger.md.
"""

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
import torch
from annotated_types import Ge, Gt, Lt
from numpy.typing import NDArray
from torch import Tensor, nn

from headrace.contracts.batch import Batch
from headrace.contracts.config import config
from headrace.contracts.errors import ConfigError
from headrace.contracts.interactions import Interactions
from headrace.contracts.requests import Allowed, Candidates, Float32, Float64, History, Int32, Int64, Requests
from headrace.contracts.seams import Learned
from headrace.contracts.training import TrainConfig
from headrace.data.prefixes import PrefixBatches
from headrace.encode.semantic_ids.coded import Coded, others
from headrace.nn.codes import CodeWriter, code_body, padding
from headrace.nn.decode.beam import beam_search
from headrace.nn.decode.codes import CodeDecoding
from headrace.nn.decode.tree import CodeTree
from headrace.nn.decode.unbound import Unbound
from headrace.nn.state import arrays_of, load_arrays_into
from headrace.nn.topk import top_k
from headrace.objectives.codes import NextCode


@config
class TIGERConfig:
    dim: Annotated[int, Gt(0)] = 128
    layers: Annotated[int, Gt(0)] = 4
    """Of the encoder, and as many of the decoder."""
    heads: Annotated[int, Gt(0)] = 4
    hidden: Annotated[int, Ge(0)] = 1024
    """Of the feed-forward; 0: 4·dim."""
    length: Annotated[int, Gt(0)] = 20
    """Newest items that are read."""
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.1
    beams: Annotated[int, Gt(0)] = 20
    """At least; as many as are asked for where that is more."""
    batch_size: Annotated[int, Gt(0)] = 256
    train: TrainConfig = TrainConfig(epochs=20, weight_decay=0.035)

    def __post_init__(self) -> None:
        if self.dim % self.heads:
            raise ConfigError(f"tiger: dim is {self.dim} and heads {self.heads}: dim must be a multiple of heads.")


class TIGER(nn.Module):
    """A learned `Retriever`. needs: every item's codes."""

    Config = TIGERConfig
    revision = 1
    needs = ("semantic_ids",)

    def __init__(self, config: TIGERConfig, *, seed: int = 0):
        super().__init__()
        self.config, self.seed = config, seed

    def learn(self, interactions: Interactions, artifacts: Mapping[str, Any]) -> Learned:
        self._make(Coded.of(interactions, artifacts["semantic_ids"], "tiger"))
        ids, settings = self.coded.ids, self.config
        batches = PrefixBatches(
            interactions.history, ids.there, length=settings.length, batch_size=settings.batch_size, seed=self.seed
        )
        return Learned(self, [NextCode()], batches, needs=self.needs, made_of={"semantic_ids": ids.fingerprint})

    def states_and_codes(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """[B, L, d] and [B, L]."""
        return self._states(self.tokens[batch["item"]], *self._read(batch["items"]))

    @torch.inference_mode()
    def retrieve(self, requests: Requests, k: int, allowed: Allowed) -> Candidates:
        """A request without a past item that has codes gets nothing: there is nothing to read."""
        tree, beams = self.coded.tree(allowed.items), max(k, self.config.beams)
        items, scores = self._written(requests, tree, beams, allowed.blocked)
        return top_k(scores, k, "tiger", seed=self.seed, items=items)

    @torch.inference_mode()
    def invalid_share(self, requests: Requests, k: int) -> Float64:
        """Of the k most probable codes of each request, written without the tree, the share that is no item's. NaN: no past."""
        free, ids = Unbound(self.coded.ids.sizes), self.coded.ids
        written, scores = self._written(requests, free, k, None)
        real = free.number(torch.from_numpy(ids.codes[ids.there].astype(np.int64))).numpy()
        return np.where(scores[:, 0] > -np.inf, 1 - np.isin(written, real).mean(1), np.nan)

    @torch.inference_mode()
    def log_probabilities(self, requests: Requests, items: Int32) -> Float64:
        """Of given items [R, k], in one pass over their codes and not level by level. NaN for no item, and without a past."""
        self.eval()
        past, known = self.coded.past(requests.history, self.config.length)
        found = np.full(items.shape, np.nan)
        if known.any():
            width = items.shape[1]
            memory, there = self._read(past.to(self.tokens.device))
            target = self.tokens[torch.from_numpy(items[known].astype(np.int64)).to(self.tokens.device)].flatten(0, 1)
            there = None if there is None else there.repeat_interleave(width, 0)
            states, codes = self._states(target, memory.repeat_interleave(width, 0), there)
            said = [
                torch.log_softmax(state @ self.writer.vectors(level).T, -1).gather(1, code.clamp(min=0).unsqueeze(1))
                for level, (state, code) in enumerate(zip(states.unbind(1), codes.unbind(1), strict=True))
            ]
            found[known] = torch.cat(said, 1).sum(1).view(-1, width).cpu().numpy()
        return np.where(items > 0, found, np.nan)

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        return {**arrays_of(self), **self.coded.arrays(), "seed": np.array(self.seed)}

    @classmethod
    def from_arrays(cls, config: TIGERConfig, arrays: Mapping[str, NDArray[Any]]) -> "TIGER":
        made = cls(config, seed=int(arrays["seed"]))
        made._make(Coded.from_arrays(arrays, "tiger"))
        load_arrays_into(made, {name: values for name, values in others(arrays).items() if name != "seed"})
        return made

    def _make(self, coded: Coded) -> None:
        settings, self.coded = self.config, coded
        body = code_body(
            dim=settings.dim, layers=settings.layers, heads=settings.heads, hidden=settings.hidden, dropout=settings.dropout
        )
        self.writer = CodeWriter(coded.ids.sizes, body)
        self.register_buffer("tokens", torch.from_numpy(coded.ids.tokens), persistent=False)
        self.register_buffer("starts", torch.tensor(self.writer.starts), persistent=False)
        self.tokens: Tensor
        self.starts: Tensor

    def _read(self, items: Tensor) -> tuple[Tensor, Tensor | None]:
        """[B, T] -> memory [B, T L, d], and which of it is no padding."""
        tokens = self.tokens[items].flatten(1)
        there = padding(tokens)
        return self.writer.read(tokens, there), there

    def _states(self, target: Tensor, memory: Tensor, there: Tensor | None) -> tuple[Tensor, Tensor]:
        return self.writer.states(target, memory, there), target - self.starts

    def _written(self, requests: Requests, tree: CodeTree, beams: int, blocked: History | None) -> tuple[Int64, Float32]:
        """[R, beams] each, best first; 0 and -inf where there is none."""
        self.eval()
        past, known = self.coded.past(requests.history, self.config.length)
        items = np.zeros((len(requests), beams), np.int64)
        scores = np.full(items.shape, -np.inf, np.float32)
        if known.any() and len(tree):
            memory, there = self._read(past.to(self.tokens.device))
            there = memory.new_ones(memory.shape[:2], dtype=torch.bool) if there is None else there
            decoding = CodeDecoding(self.writer.decoder, self.writer.starts, self.writer.sizes, memory, there)
            seen = None if blocked is None else blocked.take(known)
            found, log_prob = beam_search(decoding, tree, beams, blocked=seen, seed=self.seed)
            items[known], scores[known] = found.cpu().numpy(), log_prob.cpu().numpy()
        return items, scores
