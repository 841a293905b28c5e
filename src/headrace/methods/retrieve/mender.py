"""Mender: a decoder writes the next item's codes while it looks at vectors of what they want, in words, and of what they had.

    memory = Linear([ψ(p_1) .. ψ(p_W), ψ(i_1) .. ψ(i_n)]),   P(item | p, history) = Π_l P(c_l | c_1 .. c_{l-1}, memory)

ψ is a frozen text encoder, the same for preferences and items, so a preference never heard before is read like one that was.
variant "emb" is the paper's Mender-Emb: the decoder looks at the projected vectors as they are, so the order of a history has no
say. "tok" puts the Transformer's encoder between, over the same vectors: our reading of Mender-Tok, whose pretrained language
model over words isn't part of this project. Preferences come with a request, as `features["preference"]` (`encode/preferences`);
without one the history alone is read. In training each event has that one of its user's preferences of the moment which is most
like the item: an oracle, so figures with such a preference can't be held against those of methods that read histories alone.
polarity (ours): a learned vector says whether a preference is wanted or to be avoided, for encoders that don't hear a "no".
Shapes: items [B, T], preference [B, W, dim + 1] -> memory [B, W + T, d] -> items [R, k]. Cost of training O((L + W + T) d²) an
event, and no T² for "emb". The items' vectors are kept with the model.
Use it where users say what they want. It follows one against the history, or away from an item, only where it was taught to
(`fine`, `coarse`, `opposites`); for a preference alone, without a taste, the nearest item vectors are simpler.
Paper: Paischer et al., TMLR 2025 (arXiv 2412.08604), section 3. Our reading: docs/papers/mender.md.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
import torch
from annotated_types import Ge, Gt, Le, Lt
from numpy.typing import NDArray
from torch import Tensor, nn

from headrace.contracts.batch import Batch
from headrace.contracts.config import config
from headrace.contracts.errors import ConfigError, DataError
from headrace.contracts.interactions import Interactions
from headrace.contracts.requests import Allowed, Candidates, Float32, Requests
from headrace.contracts.seams import Learned
from headrace.contracts.training import TrainConfig
from headrace.data.preference_axes import Wishes
from headrace.data.preference_batches import Beside, PreferredBatches, examples_of, targets_of
from headrace.data.prefixes import only_readable
from headrace.encode.semantic_ids.coded import Coded, others
from headrace.nn.codes import CodeWriter, code_body
from headrace.nn.decode.beam import beam_search
from headrace.nn.decode.codes import CodeDecoding
from headrace.nn.state import arrays_of, load_arrays_into
from headrace.nn.topk import top_k
from headrace.objectives.codes import NextCode
from headrace.objectives.unlikelihood import NextCodeOrNot

FEATURE = "preference"


@config
class MenderConfig:
    variant: Literal["emb", "tok"] = "emb"
    dim: Annotated[int, Gt(0)] = 128
    layers: Annotated[int, Gt(0)] = 4
    """Of the decoder; of variant "tok" as many of the encoder."""
    heads: Annotated[int, Gt(0)] = 4
    hidden: Annotated[int, Ge(0)] = 1024
    """Of the feed-forward; 0: 4·dim."""
    length: Annotated[int, Gt(0)] = 20
    """Newest items that are read."""
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.1
    polarity: bool = True
    withheld: Annotated[float, Ge(0), Le(1)] = 0.2
    """Share of the events that is learned without a preference; the paper has 0, and 1 is a model of histories alone."""
    fine: bool = False
    coarse: bool = False
    """Also learn to follow a preference in the history of somebody who wanted a very like item, or the least like one."""
    opposites: bool = False
    """Also learn from disliked items: to come for the inverse of what their user avoids, not to come for that itself."""
    unlike: Annotated[float, Ge(0)] = 1.0
    """Weight of what is not to come."""
    beams: Annotated[int, Gt(0)] = 20
    """At least; as many as are asked for where that is more."""
    batch_size: Annotated[int, Gt(0)] = 256
    train: TrainConfig = TrainConfig(epochs=20, weight_decay=0.035)

    def __post_init__(self) -> None:
        if self.dim % self.heads:
            raise ConfigError(f"mender: dim is {self.dim} and heads {self.heads}: dim must be a multiple of heads.")


class Mender(nn.Module):
    """A learned `Retriever`. needs: every item's codes and vector, and what users wanted when (`Wishes`)."""

    Config = MenderConfig
    revision = 1
    needs = ("semantic_ids", "item_vectors", "preferences")

    def __init__(self, config: MenderConfig, *, seed: int = 0):
        super().__init__()
        self.config, self.seed = config, seed

    def learn(self, interactions: Interactions, artifacts: Mapping[str, Any]) -> Learned:
        settings, vectors, wishes = self.config, artifacts["item_vectors"], artifacts["preferences"]
        coded = Coded.of(interactions, artifacts["semantic_ids"], "mender")
        _refuse_strangers(vectors, wishes, len(coded.ids))
        self._make(coded, vectors.shape[1])
        self.vectors.copy_(torch.from_numpy(vectors))
        beside = Beside(settings.fine, settings.coarse, settings.opposites)
        targets = targets_of(interactions.history, coded.ids.there, settings.length)
        examples = examples_of(targets, wishes, vectors, beside, seed=self.seed)
        batches = PreferredBatches(
            examples, wishes.pool.slots, batch_size=settings.batch_size, withheld=settings.withheld, seed=self.seed
        )
        return Learned(
            self, [NextCodeOrNot() if settings.opposites else NextCode()], batches, weights={"not_code": settings.unlike},
            needs=self.needs, made_of={"semantic_ids": coded.ids.fingerprint},
        )  # fmt: skip

    def states_and_codes(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """[B, L, d] and [B, L]."""
        target = self.tokens[batch["item"]]
        return self.writer.states(target, *self._read(batch["items"], batch[FEATURE])), target - self.starts

    @torch.inference_mode()
    def retrieve(self, requests: Requests, k: int, allowed: Allowed) -> Candidates:
        """A request with neither a preference nor a past item that has codes gets nothing: there is nothing to read."""
        self.eval()
        preference, device = self._asked(requests), self.tokens.device
        readable = only_readable(requests.history, self.coded.ids.there).newest(self.config.length)
        known = (readable.lengths > 0) | (preference[:, :, -1] != 0).any(1)
        beams, tree = max(k, self.config.beams), self.coded.tree(allowed.items)
        items, scores = np.zeros((len(requests), beams), np.int64), np.full((len(requests), beams), -np.inf, np.float32)
        if known.any() and len(tree):
            past = readable.take(known)
            read = torch.from_numpy(past.last(max(int(past.lengths.max()), 1)).astype(np.int64)).to(device)
            memory, there = self._read(read, torch.from_numpy(preference[known]).to(device))
            decoding = CodeDecoding(self.writer.decoder, self.writer.starts, self.writer.sizes, memory, there)
            seen = None if allowed.blocked is None else allowed.blocked.take(known)
            found, log_prob = beam_search(decoding, tree, beams, blocked=seen, seed=self.seed)
            items[known], scores[known] = found.cpu().numpy(), log_prob.cpu().numpy()
        return top_k(scores, k, "mender", seed=self.seed, items=items)

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        return {**arrays_of(self), **self.coded.arrays(), "seed": np.array(self.seed)}

    @classmethod
    def from_arrays(cls, config: MenderConfig, arrays: Mapping[str, NDArray[Any]]) -> "Mender":
        made = cls(config, seed=int(arrays["seed"]))
        made._make(Coded.from_arrays(arrays, "mender"), arrays["vectors"].shape[1])
        load_arrays_into(made, {name: values for name, values in others(arrays).items() if name != "seed"})
        return made

    def _make(self, coded: Coded, width: int) -> None:
        settings, self.coded = self.config, coded
        body = code_body(
            dim=settings.dim, layers=settings.layers, heads=settings.heads, hidden=settings.hidden, dropout=settings.dropout
        )
        self.writer = CodeWriter(coded.ids.sizes, body)
        if settings.variant == "emb":
            del self.writer.encoder  # codes are read by nobody, and vectors by the decoder as they are
        self.project = nn.Linear(width, settings.dim)
        # A vector of length 1 is to be as large as what layers add to it.
        nn.init.normal_(self.project.weight)
        nn.init.zeros_(self.project.bias)
        self.polarity = nn.Embedding(2, settings.dim) if settings.polarity else None
        self.register_buffer("vectors", torch.zeros(len(coded.ids), width))
        self.register_buffer("tokens", torch.from_numpy(coded.ids.tokens), persistent=False)
        self.register_buffer("starts", torch.tensor(self.writer.starts), persistent=False)
        self.vectors: Tensor
        self.tokens: Tensor
        self.starts: Tensor

    def _read(self, items: Tensor, preference: Tensor) -> tuple[Tensor, Tensor]:
        """[B, T] and [B, W, dim + 1] -> memory [B, W + T, d], and which of it is there."""
        said, sign = preference[..., :-1], preference[..., -1]
        x = self.project(torch.cat([said, self.vectors[items]], 1))
        if self.polarity is not None:
            x = torch.cat([x[:, : said.shape[1]] + self.polarity((sign > 0).long()), x[:, said.shape[1] :]], 1)
        there = torch.cat([sign != 0, items > 0], 1)
        return (self.writer.read(x, there) if self.config.variant == "tok" else x), there

    def _asked(self, requests: Requests) -> Float32:
        """[R, W, dim + 1]: as the requests say, one empty slot each where they say nothing."""
        width = self.vectors.shape[1] + 1
        given = requests.features.get(FEATURE)
        if given is None:
            return np.zeros((len(requests), 1, width), np.float32)
        if given.ndim != 3 or given.shape[2] != width:
            raise DataError(
                f"mender: preferences are {given.shape}, expected ({len(requests)}, slots, {width}): encode the sentences by the "
                "encoder of the item vectors that it was trained on (`encode.preferences.slots_of`)."
            )
        return np.asarray(given, np.float32)


def _refuse_strangers(vectors: Float32, wishes: Wishes, n_items: int) -> None:
    if vectors.shape[1] != wishes.pool.vectors.shape[1] or len(vectors) != n_items:
        raise DataError(
            f"mender: item vectors are {vectors.shape} and the preferences' {wishes.pool.vectors.shape} for a catalogue of "
            f"{n_items:,}. Make both by one encoder, a vector for every item."
        )
