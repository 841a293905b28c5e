"""EmbSum: a user as a few vectors of what they read, made by an encoder that must also be able to say in words what they like.

    X      = states of the newest items' tokens, session by session;     h_j = the state of item j's <sos>
    u_t    = Decoder(y_1 .. y_{t-1}; all of X),     summary = -sum_t log P(y_t | u_t)           `nn.summary_writer`
    users  = W_a poly([h_1 .. h_k; h_sum]; m codes),     items = W_b poly(tokens' states; n codes)
    logit  = sum_ab w_ab users_a · items_b [+ what stands beside the text],     loss = choice + λ summary

h_sum is the decoder's state that says a summary's last word; where no summary is at hand, the one that has read no word.
Summaries (need "summaries") are of events before the window that is learned from. Training alone reads them; none is stored.
At serving, `at_serving = "begin"` takes the state that has read no word: one step of the decoder, a known cost, one ONNX graph.
"decoded" has the decoder write first, in at most `summary_tokens` steps, and takes the state that ends what it wrote: nearer to
what most training rows read, at many times the cost, in torch. `summary_dropout` is the share of training rows that read no word,
so that either is known. What it writes is `summaries_of`.
Shapes: tokens [R, k, T] -> side [R, m, d']; items [R, C, n, d']. Cost of a user: the reader over k T tokens in sessions, and a
step of the decoder over their L states, O(L d), one more for each word that is written; of a candidate O(m n d'), from a table.
Use it where items have texts, users few events, and words about users can be had for training alone. It loses to rankers of codes
where items have many choices each, and has nothing to learn from summaries that say what the choices say. Sibling: `spar` reads
the summary itself, and needs it when it serves.
Paper: EmbSum (RecSys 2024, arXiv 2405.11441). Our reading: docs/papers/embsum.md.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal

import numpy as np
import torch
from annotated_types import Ge, Gt, Le, Lt
from torch import Tensor, nn

from headrace.contracts.batch import Batch
from headrace.contracts.config import config
from headrace.contracts.errors import ConfigError
from headrace.contracts.interactions import Interactions
from headrace.contracts.requests import Int64, Requests
from headrace.contracts.seams import Learned, State
from headrace.data.rank_inputs import user_batch
from headrace.data.summarised import SUMMARY, SummarisedBatches
from headrace.encode.reading.poly import PolyAttention
from headrace.encode.reading.reader import Reader
from headrace.encode.reading.relevance import Relevance
from headrace.encode.reading.sessions import ReadHistory, read_in_sessions
from headrace.encode.reading.text_scorer import TextConfig, TextScorer
from headrace.nn.summary_writer import SummaryWriter, last_states
from headrace.objectives.choice import learned_choice
from headrace.objectives.summary import WithSummary

LONGEST = 512
"""Tokens that published encoders read at once."""
_ROWS = 256
"""Requests whose summaries are written side by side."""


@config
class EmbSumConfig(TextConfig):
    """h_sum: the decoder's state of the whole user."""

    summary_weight: Annotated[float, Ge(0)] = 0.05
    """λ; 0: no summary is read or learned."""
    h_sum: bool = True
    """Whether it is among what the user's vectors are made of."""
    user_vectors: Annotated[int, Gt(0)] = 8
    """m, of a user. `vectors` is n, of an item."""
    session: Annotated[int, Gt(0)] = 5
    """Items read together. 1: each by itself; as many as `history`: all in one pass."""
    decoder_layers: Annotated[int, Gt(0)] = 2
    decoder_dim: Annotated[int, Gt(0)] = 64
    decoder_heads: Annotated[int, Gt(0)] = 4
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.1
    """Of the decoder."""
    summary_tokens: Annotated[int, Gt(0)] = 48
    """Of a summary, at most, learned or written."""
    summary_dropout: Annotated[float, Ge(0), Le(1)] = 0.3
    """Share of training rows whose h_sum has read no word of the summary."""
    at_serving: Literal["begin", "decoded"] = "begin"

    def __post_init__(self) -> None:
        super().__post_init__()
        together = self.session * self.reader.tokens
        if self.reader.kind != "own" and together > LONGEST:
            raise ConfigError(
                f'reader: kind = "{self.reader.kind}" reads {LONGEST} tokens at once, and a session is up to {together}. '
                "Set fewer items a session, or fewer tokens."
            )
        if self.decoder_dim % self.decoder_heads:
            raise ConfigError(
                f"embsum: decoder_dim = {self.decoder_dim} is not a multiple of decoder_heads = {self.decoder_heads}."
            )
        if self.summary_weight and self.perturb is not None:
            raise ConfigError("embsum: perturb stands around the choice alone. Leave it out, or set summary_weight = 0.")
        if self.at_serving == "decoded" and not (self.summary_weight and self.h_sum):
            raise ConfigError(
                'embsum: at_serving = "decoded" reads what the decoder wrote; with summary_weight = 0 it learned no word, and '
                'with h_sum = false nobody reads it. Set at_serving = "begin".'
            )


class EmbSum(TextScorer):
    """A learned `Scorer`. needs: features, candidate lists, the items' texts and the users' summaries."""

    Config = EmbSumConfig
    revision = 1
    needs: tuple[str, ...] = (*TextScorer.needs, "summaries")
    config: EmbSumConfig
    writer: SummaryWriter | None

    def __init__(self, config: EmbSumConfig, *, seed: int = 0):
        super().__init__(config, seed=seed)
        self.reads_users = config.summary_weight > 0  # while training, for whose summary it is
        if not self.reads_users:
            self.needs = TextScorer.needs

    def learn(self, interactions: Interactions, artifacts: Mapping[str, Any]) -> Learned:
        made, weight = learned_choice(self, interactions, artifacts), self.config.summary_weight
        if not weight:
            return made
        tokens = with_ends(self.reader, artifacts["summaries"].texts, self.config.summary_tokens)
        batches = SummarisedBatches(made.batches, torch.from_numpy(tokens.astype(np.int32)))
        (base,) = made.objectives
        return replace(made, objectives=[WithSummary(base)], batches=batches, weights={**made.weights, SUMMARY: weight})

    def words(self) -> Tensor:
        """[vocabulary, d]: what the states of a summary are compared with."""
        assert self.writer is not None
        return self.writer.words()

    @torch.inference_mode()
    def summaries_of(self, requests: Requests) -> list[str]:
        """What the decoder writes of each user's past; "" where there is none to read, and of a ranker that learned no words."""
        if self.writer is None or not self.config.summary_weight:
            return [""] * len(requests)
        was, said = self.training, []
        self.eval()
        history = user_batch(requests, self.schema)["history"]
        for rows in torch.split(history.to(self.tokens.device), _ROWS):
            read = self._read(rows)
            tokens, _ = self.writer.written(*self.writer.memory(read.states, read.there), self.config.summary_tokens)
            said += self.reader.words(tokens.masked_fill(~read.items.any(1, keepdim=True), 0))
        self.train(was)
        return said

    def _layers(self) -> None:
        of, reader = self.config, self.reader
        self.asks, self.to_side = PolyAttention(reader.dim, of.user_vectors), nn.Linear(reader.dim, of.side_dim, bias=False)
        self.asks_item, self.to_item = PolyAttention(reader.dim, of.vectors), nn.Linear(reader.dim, of.side_dim, bias=False)
        self.relevance = Relevance(of.side_dim)
        self.writer, self.to_global = None, None
        if of.summary_weight or of.h_sum:
            self.writer = SummaryWriter(
                width=reader.dim, dim=of.decoder_dim, layers=of.decoder_layers, heads=of.decoder_heads, dropout=of.dropout,
                vocabulary=reader.vocabulary, first=reader.bos, last=reader.eos, never=(reader.sos,),
            )  # fmt: skip
        if of.h_sum:
            self.to_global = nn.Linear(of.decoder_dim, reader.dim, bias=False)

    def _pooled(self, states: Tensor, there: Tensor) -> Tensor:
        found: Tensor = self.to_item(self.asks_item(states, there))
        return found

    def _relevance(self, side: Tensor, items: Tensor) -> Tensor:
        found: Tensor = self.relevance(side, items)
        return found

    def _read(self, history: Tensor) -> ReadHistory:
        return read_in_sessions(self.reader, self.tokens[self.known(history)].long(), self.config.session)

    def _user_side(self, batch: Batch) -> State:
        """While training also "summary" [R, T, d]: the states that say the summary's words."""
        read = self._read(batch["history"])
        z, there, told = read.item_starts(), read.items, {}
        if self.writer is not None:
            memory = self.writer.memory(read.states, read.there)
            if SUMMARY in batch:
                longest = int((batch[SUMMARY] > 0).sum(1).max().clamp(min=1))
                told = {SUMMARY: self.writer.read(batch[SUMMARY][:, :longest], *memory)}
            if self.to_global is not None:
                whole = self.to_global(self._global(memory, told.get(SUMMARY), batch)).unsqueeze(1)
                z, there = torch.cat([z, whole], 1), torch.cat([there, there.new_ones((there.shape[0], 1))], 1)
        known = read.items.any(1).view(-1, 1, 1)
        return {"side": self.to_side(self.asks(z, there)) * known, **told}

    def _global(self, memory: tuple[Tensor, Tensor], told: Tensor | None, batch: Batch) -> Tensor:
        """h_sum [R, d]."""
        assert self.writer is not None
        if self.training and told is not None:
            read_none = torch.rand(len(told), 1, device=told.device) < self.config.summary_dropout
            return torch.where(read_none, told[:, 0], last_states(told, batch[SUMMARY][:, : told.shape[1]]))
        if self.training or self.config.at_serving == "begin":
            return self.writer.begun(*memory)
        if torch.jit.is_tracing():  # type: ignore[attr-defined, no-untyped-call]
            raise RuntimeError('embsum writes a summary word by word with at_serving = "decoded", and a graph has no such loop')
        return self.writer.written(*memory, self.config.summary_tokens)[1]


def with_ends(reader: Reader, texts: tuple[str, ...], tokens: int) -> Int64:
    """[n, tokens]: each text's and the end, 0 behind; a text that is cut has no end, and "" has nothing."""
    found = reader.tokenise(texts, tokens, framed=False)
    lengths = (found > 0).sum(1)
    ended = (lengths > 0) & (lengths < tokens)
    found[ended, lengths[ended]] = reader.eos
    return found
