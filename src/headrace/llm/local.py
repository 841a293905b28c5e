"""A causal language model of Hugging Face as a backend: it says something to chats in batches, and scores continuations of them.

    model = local(smollm())                       # or a model folder, or "owner/name" on the hub
    model.score([[Message("user", "Is tea hot?")]], [["Yes", "No"]])
    log_prob(continuation | chat) = sum over its tokens of log p(token | chat's tokens, tokens before)

Chats are taken by length, `rows` together; the beginning that all of a call have in common is read once, and a chat is read once
for all its continuations. Greedy, or drawn with a stream of its own for each (seed, chat), so that an answer doesn't depend on
the chats beside it (up to rounding: where two tokens are all but equally likely, another batch may choose the other).
Control tokens in messages and continuations are broken (`control_tokens`): only the template has any.
Use it for scores, for models in training, and for answers without a form; `llamacpp` holds answers to a schema, this doesn't.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from annotated_types import Gt
from torch import Tensor

from headrace.contracts.chat import Chat, Sampling, Schema, Scored
from headrace.contracts.config import config
from headrace.contracts.errors import DataError
from headrace.contracts.requests import Float64
from headrace.llm.backend import Said
from headrace.llm.causal import Causal, causal
from headrace.llm.lora import opened
from headrace.llm.reading import Read, Reader, Tokens
from headrace.llm.templated import Template

WORTH_SHARING = 8
"""Tokens: reading fewer on their own costs more than it saves."""


@config
class LocalConfig:
    """rows: chats read together. dtype: of weights and arithmetic; bfloat16 halves memory and costs precision."""

    rows: Annotated[int, Gt(0)] = 16
    dtype: Literal["float32", "bfloat16"] = "float32"
    device: str = "cpu"


def local(
    source: str | Path, settings: LocalConfig | None = None, *, home: Path | None = None, adapter: Path | None = None
) -> Local:
    """source: a GGUF file, a folder with config.json, or "owner/name" on the hub; home: see `causal`.

    adapter: the folder of one that was trained on this model (`build.tuning`); ArtifactError where it is another's.
    """
    of = settings or LocalConfig()
    read = causal(source, dtype=of.dtype, device=of.device, home=home)
    return asked_of(read, of) if adapter is None else with_adapter(read, adapter, of)


def asked_of(read: Causal, settings: LocalConfig) -> Local:
    return Local(read.model, read.tokenizer, f"local/{read.name}/{settings.dtype}/{read.digest[:16]}", rows=settings.rows)


def with_adapter(read: Causal, folder: Path, settings: LocalConfig) -> Local:
    """The model it is read into is changed: the adapter stays on it."""
    adapted, artifact = opened(read, folder)
    name = f"local/{read.name}/{settings.dtype}/{read.digest[:16]}+{artifact.digest[:16]}"
    return Local(adapted.model, read.tokenizer, name, rows=settings.rows)


class Local:
    """model, tokenizer: as transformers has them, so that one in training can be asked too; then `id` must change with it."""

    constrains = False

    def __init__(self, model: Any, tokenizer: Any, id: str, *, rows: int = 16):
        self.model, self.tokenizer, self.id, self.rows = model, tokenizer, id, rows
        self.at_once = 4 * rows
        self.context = int(getattr(model.config, "max_position_embeddings", 0)) or 2**31
        ends = model.generation_config.eos_token_id
        self.ends = {tokenizer.eos_token_id} | set(ends if isinstance(ends, list) else [ends])
        self._reader = Reader(model)
        self._template = Template(tokenizer)
        self._continued = lru_cache(65_536)(self._after)  # the same labels come again with every chat

    def prompt_tokens(self, chat: Chat) -> int:
        return len(self._template.encoded(self._template.asked(chat)))

    def say(self, chats: Sequence[Chat], schema: Schema | None, sampling: Sampling, each: Callable[[int, Said], None]) -> None:
        prompts = [self._template.encoded(self._template.asked(chat)) for chat in chats]
        fit = []
        for place, prompt in enumerate(prompts):
            if len(prompt) + sampling.max_tokens > self.context:
                each(place, Said("", len(prompt), error=self._too_long(prompt, sampling.max_tokens)))
            else:
                fit.append(place)
        for part, read in self._read(prompts, fit):
            draws = [_draws(chats[place], sampling) for place in part] if sampling.temperature > 0 else None
            self._say(read, part, sampling, draws, lambda place, said: each(place, self._said(prompts[place], said)))

    def score(self, chats: Sequence[Chat], continuations: Sequence[Sequence[str]]) -> list[Scored]:
        texts = [self._template.asked(chat) for chat in chats]
        prompts = [self._template.encoded(text) for text in texts]
        tails = [self._template.tail(text) for text in texts]
        tokens = [[self._continued(tail, one) for one in of] for tail, of in zip(tails, continuations, strict=True)]
        for prompt, of in zip(prompts, tokens, strict=True):
            longest = max(map(len, of), default=0)
            if len(prompt) + longest > self.context:
                raise DataError(f"{self.id}: {self._too_long(prompt, longest)}")
        scored = [Scored(np.zeros(0), np.zeros(0, np.int64)) for _ in chats]
        for part, read in self._read(prompts, [place for place, of in enumerate(tokens) if of]):
            flat = [(row, one) for row, place in enumerate(part) for one in tokens[place]]
            found = iter(self._reader.log_probs(read, [row for row, _ in flat], [one for _, one in flat]))
            for place in part:
                lengths = np.array([len(one) for one in tokens[place]], np.int64)
                scored[place] = Scored(np.array([next(found) for _ in lengths], np.float64), lengths)
        return scored

    def _read(self, prompts: Sequence[Tokens], places: Sequence[int]) -> Iterator[tuple[list[int], Read]]:
        """(places, what was read) of part after part, shortest first."""
        order = sorted(places, key=lambda place: len(prompts[place]))
        common = _common([prompts[place] for place in places])
        start = self._reader.read([prompts[order[0]][:common]]) if common else None
        for first in range(0, len(order), self.rows):
            part = order[first : first + self.rows]
            before = start.repeated(len(part)) if start else None
            yield part, self._reader.read([prompts[place][common:] for place in part], before)

    def _say(
        self, read: Read, part: Sequence[int], sampling: Sampling, draws: Sequence[Float64] | None,
        done: Callable[[int, list[int]], None],
    ) -> None:  # fmt: skip
        """Rows that have ended leave the batch."""
        said: list[list[int]] = [[] for _ in part]
        rows = list(range(len(part)))
        for step in range(sampling.max_tokens):
            drawn = None if draws is None else [draws[row][step] for row in rows]
            chosen = _chosen(read.logits, sampling.temperature, drawn).tolist()
            for row, token in zip(rows, chosen, strict=True):
                said[row].append(token)
            going = [at for at, token in enumerate(chosen) if token not in self.ends and step + 1 < sampling.max_tokens]
            for at in set(range(len(rows))) - set(going):
                done(part[rows[at]], said[rows[at]])
            if not going:
                return
            if len(going) < len(rows):
                read = read.selected(torch.tensor(going, device=read.kept.device))
            rows = [rows[at] for at in going]
            read = self._reader.read([[chosen[at]] for at in going], read)

    def _said(self, prompt: Tokens, tokens: list[int]) -> Said:
        text = self.tokenizer.decode([token for token in tokens if token not in self.ends], skip_special_tokens=True)
        return Said(text, len(prompt), len(tokens))

    def _after(self, tail: str, continuation: str) -> Tokens:
        return self._template.continued(tail, self._template.broken(continuation))

    def _too_long(self, prompt: Tokens, wanted: int) -> str:
        return f"{len(prompt):,} tokens and {wanted:,} more do not fit its context of {self.context:,}. Shorten the chat."


def _common(rows: Sequence[Tokens]) -> int:
    """How many tokens all rows begin with, when they are worth reading on their own; each keeps one to read after them."""
    if len(rows) < 2:
        return 0
    first, last = min(map(tuple, rows)), max(map(tuple, rows))  # whatever the two outermost share lies in all between
    shared = next((at for at, (one, other) in enumerate(zip(first, last, strict=False)) if one != other), len(first))
    shared = min(shared, min(map(len, rows)) - 1)
    return shared if shared >= WORTH_SHARING else 0


def _draws(chat: Chat, sampling: Sampling) -> Float64:
    """Uniform draws, one for each token, that depend on the seed and on what was said alone."""
    said = repr([sampling.seed, *((message.role, message.content) for message in chat)])
    seed = int.from_bytes(hashlib.sha256(said.encode()).digest()[:8], "big")
    return np.random.default_rng(seed).random(sampling.max_tokens)


def _chosen(logits: Tensor, temperature: float, draws: Sequence[float] | None) -> Tensor:
    """The likeliest token, or the one whose share of the line from 0 to 1 the draw falls into."""
    if draws is None:
        return logits.argmax(-1)
    line = (logits.double() / temperature).softmax(-1).cumsum(-1)
    at = torch.tensor(draws, dtype=line.dtype, device=line.device)[:, None] * line[:, -1:]
    return torch.searchsorted(line, at, right=True)[:, 0].clamp(max=logits.shape[-1] - 1)
