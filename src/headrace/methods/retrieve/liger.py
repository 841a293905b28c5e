"""LIGER: one Transformer writes the next item's codes and points at its text, so that items nobody chose yet are found too.

    x_ij = E[c_ij] + φ(t_i) + p_i + q_j  (item i of the history, its code j),   ĥ = Encoder(norm(x)) at the last token
    loss = next-code cross-entropy + cross-entropy over items trained on of  cos(ĥ, φ(t)) / τ
    answers: the K best items by beam search, and every item that has a text and no event, ranked together by cos(ĥ, φ(t))

t is an item's text vector, standardised over the items trained on; φ is linear. Beams find what was learned by heart, texts find
what is new: a generated list alone never reaches an item that was not trained on. With `codes_loss` off all items are ranked by
the cosine ("Dense (SID)"); with `dense_loss` off the beams are the answer, and texts are read alone ("TIGER (T)").
Shapes: history [R, T] -> tokens [R, T L]; ĥ [R, d]. Cost: TIGER's, and O(N d) an event in training and a request.
Use it where items come and go and have texts. Recall of new items falls with their number, since all are in the list; where texts
say little, SASRec is cheaper and as good. Relation to `tiger`: the same writer. To `two_tower`: that reads no order.
Paper: Yang et al., TMLR 2025 (arXiv 2411.18814), section 4. Our reading: docs/papers/liger.md.
"""

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
import torch
from annotated_types import Ge, Gt, Lt
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import normalize

from headrace.contracts.batch import Batch
from headrace.contracts.config import config
from headrace.contracts.errors import ConfigError, DataError
from headrace.contracts.interactions import Interactions
from headrace.contracts.requests import Allowed, Bool, Candidates, Float32, Requests
from headrace.contracts.seams import Learned
from headrace.contracts.training import TrainConfig
from headrace.data.prefixes import PrefixBatches
from headrace.encode.semantic_ids.coded import Coded, only, others
from headrace.nn.codes import CodeWriter, code_body, padding
from headrace.nn.decode.beam import beam_search
from headrace.nn.decode.codes import CodeDecoding
from headrace.nn.state import arrays_of, load_arrays_into
from headrace.nn.topk import top_k
from headrace.objectives.codes import NextCodeAndVector

_NOTHING = 1e-6  # a spread as small is a column that says nothing


@config
class LIGERConfig:
    dim: Annotated[int, Gt(0)] = 128
    layers: Annotated[int, Gt(0)] = 6
    """Of the encoder, and as many of the decoder."""
    heads: Annotated[int, Gt(0)] = 4
    hidden: Annotated[int, Ge(0)] = 1024
    """Of the feed-forward; 0: 4·dim."""
    length: Annotated[int, Gt(0)] = 20
    """Newest items that are read."""
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.2
    beams: Annotated[int, Gt(0)] = 20
    """K, at least; as many as are asked for where that is more. More of them: known items are found better, new ones worse."""
    temperature: Annotated[float, Gt(0)] = 0.07
    codes_loss: bool = True
    dense_loss: bool = True
    vectors: bool = True
    """Texts are read; without, they are only what is pointed at."""
    batch_size: Annotated[int, Gt(0)] = 256
    train: TrainConfig = TrainConfig(epochs=20, learning_rate=3e-4, weight_decay=0.035)

    def __post_init__(self) -> None:
        if self.dim % self.heads:
            raise ConfigError(f"liger: dim is {self.dim} and heads {self.heads}: dim must be a multiple of heads.")
        if not (self.codes_loss or self.dense_loss):
            raise ConfigError("liger: codes_loss and dense_loss are both off: there is nothing to learn. Leave one on.")


class LIGER(nn.Module):
    """A learned `Retriever`. needs: every item's codes and its text's vector."""

    Config = LIGERConfig
    revision = 1
    needs = ("semantic_ids", "item_vectors")

    def __init__(self, config: LIGERConfig, *, seed: int = 0):
        super().__init__()
        self.config, self.seed = config, seed

    def learn(self, interactions: Interactions, artifacts: Mapping[str, Any]) -> Learned:
        vectors: Float32 = artifacts["item_vectors"]
        if len(vectors) != interactions.n_items:
            raise DataError(f"liger: vectors of {len(vectors):,} items for a catalogue of {interactions.n_items:,}.")
        spoken: Bool = np.any(vectors, axis=1)
        settings, chosen = self.config, interactions.item_counts() > 0
        coded = Coded.of(interactions, only(artifacts["semantic_ids"], spoken), "liger")
        ids = coded.ids
        seen = np.flatnonzero(ids.there & chosen)
        if not len(seen):
            raise DataError("liger: no item that was chosen has both codes and a text. Give items a title or a text.")
        self._make(coded, vectors.shape[1], len(seen))
        spread = vectors[seen].std(0)
        scaled = (vectors - vectors[seen].mean(0)) / np.where(spread > _NOTHING, spread, 1.0)
        self.texts.copy_(torch.from_numpy(np.where(spoken[:, None], scaled, 0.0).astype(np.float32)))
        self.seen.copy_(torch.from_numpy(seen))
        self.cold.copy_(torch.from_numpy(interactions.available & spoken & ~chosen))
        batches = PrefixBatches(
            interactions.history, ids.there, length=settings.length, batch_size=settings.batch_size, seed=self.seed
        )
        objective = NextCodeAndVector(codes=settings.codes_loss, vector=settings.dense_loss)
        return Learned(self, [objective], batches, needs=self.needs, made_of={"semantic_ids": ids.fingerprint})

    def read(self, batch: Batch) -> tuple[Tensor, Tensor | None]:
        """items [B, T] -> memory [B, T L, d], and which of it is no padding."""
        items = batch["items"]
        x = self.writer.embed(self.tokens[items].flatten(1)).view(*items.shape, -1, self.config.dim)
        x = x + self.places.weight[: items.shape[1], None] + self.levels.weight
        if self.config.vectors:
            x = x + self.project(self.texts[items]).unsqueeze(2)
        there = padding(self.tokens[items].flatten(1))
        return self.writer.read(self.norm(x).flatten(1, 2), there), there

    def written(self, batch: Batch, memory: Tensor, there: Tensor | None) -> tuple[Tensor, Tensor]:
        """[B, L, d] and [B, L]."""
        target = self.tokens[batch["item"]]
        return self.writer.states(target, memory, there), target - target.new_tensor(self.writer.starts)

    def compared(self, batch: Batch, memory: Tensor, there: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Queries [B, d] over τ, the keys of all items trained on [N, d], and each row's among them [B]."""
        keys = normalize(self.project(self.texts[self.seen]), dim=-1)
        return self._query(memory, there) / self.config.temperature, keys, torch.searchsorted(self.seen, batch["item"])

    @torch.inference_mode()
    def retrieve(self, requests: Requests, k: int, allowed: Allowed) -> Candidates:
        """A request without a past item that has codes and a text gets nothing: there is nothing to read."""
        self.eval()
        scores = np.full((len(requests), len(self.texts)), -np.inf, np.float32)
        past, known = self.coded.past(requests.history, self.config.length)
        if known.any():
            memory, there = self.read({"items": past.to(self.tokens.device)})
            scores[known] = self._scores(memory, there, max(k, self.config.beams), allowed.take(known)).cpu().numpy()
        return top_k(allowed.mask(scores), k, "liger", seed=self.seed)

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        return {**arrays_of(self), **self.coded.arrays(), "seed": np.array(self.seed)}

    @classmethod
    def from_arrays(cls, config: LIGERConfig, arrays: Mapping[str, NDArray[Any]]) -> "LIGER":
        made = cls(config, seed=int(arrays["seed"]))
        made._make(Coded.from_arrays(arrays, "liger"), arrays["texts"].shape[1], len(arrays["seen"]))
        load_arrays_into(made, {name: values for name, values in others(arrays).items() if name != "seed"})
        return made

    def _make(self, coded: Coded, width: int, seen: int) -> None:
        settings, self.coded, ids = self.config, coded, coded.ids
        body = code_body(
            dim=settings.dim, layers=settings.layers, heads=settings.heads, hidden=settings.hidden, dropout=settings.dropout
        )
        self.writer = CodeWriter(ids.sizes, body)
        self.project, self.norm = nn.Linear(width, settings.dim), nn.LayerNorm(settings.dim)
        self.places, self.levels = nn.Embedding(settings.length, settings.dim), nn.Embedding(ids.levels, settings.dim)
        self.register_buffer("tokens", torch.from_numpy(ids.tokens), persistent=False)
        self.register_buffer("texts", torch.zeros(len(ids), width))
        self.register_buffer("seen", torch.zeros(seen, dtype=torch.int64))
        self.register_buffer("cold", torch.zeros(len(ids), dtype=torch.bool))
        self.keys: Tensor | None = None
        self.register_load_state_dict_post_hook(_forget)  # type: ignore[no-untyped-call]
        self.tokens: Tensor
        self.texts: Tensor
        self.seen: Tensor
        self.cold: Tensor

    def train(self, mode: bool = True) -> "LIGER":
        if mode:
            _forget(self)
        super().train(mode)
        return self

    def _keys(self) -> Tensor:
        """[n_items, d], of length 1; kept until they are trained on or loaded anew."""
        if self.keys is None:
            with torch.inference_mode(False), torch.no_grad():
                self.keys = normalize(self.project(self.texts), dim=-1)
        return self.keys

    def _query(self, memory: Tensor, there: Tensor | None) -> Tensor:
        """[B, d], of length 1: what stands at each row's last token."""
        rows = torch.arange(len(memory), device=memory.device)
        return normalize(memory[:, -1] if there is None else memory[rows, there.sum(1) - 1], dim=-1)

    def _scores(self, memory: Tensor, there: Tensor | None, beams: int, allowed: Allowed) -> Tensor:
        """[R, n_items], -inf for what is no candidate."""
        settings, tree = self.config, self.coded.tree(allowed.items)
        candidates = self.cold.expand(len(memory), -1)
        found, log_prob = None, None
        if settings.codes_loss and len(tree):
            shown = memory.new_ones(memory.shape[:2], dtype=torch.bool) if there is None else there
            decoding = CodeDecoding(self.writer.decoder, self.writer.starts, self.writer.sizes, memory, shown)
            found, log_prob = beam_search(decoding, tree, beams, blocked=allowed.blocked, seed=self.seed)
        if not settings.dense_loss:
            scores = torch.full(candidates.shape, -torch.inf, device=memory.device)
            return scores if found is None or log_prob is None else scores.scatter(1, found, log_prob)
        if not settings.codes_loss:
            candidates = candidates | torch.from_numpy(self.coded.proposed).to(memory.device)
        elif found is not None:
            candidates = candidates.scatter(1, found, True)
        cosine = self._query(memory, there) @ self._keys().T
        return cosine.masked_fill(~candidates, -torch.inf)


def _forget(liger: LIGER, *_: Any) -> None:
    liger.keys = None
