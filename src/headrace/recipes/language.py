"""Small language models for recipes: a corpus as tokens, a body trained on it, and what it loses on text it has not read.

    read = open_text(TextConfig(corpus="imdb-reviews"), folder)       tokenized once, kept
    body = fitted(read, of, rate=2e-3, tokens=1_000_000, rows=32, length=128, seed=0)
    each = row_losses(body, rows_of(read.test, 128, most=500))        [rows], nats a token

The claims that stand on these are about one switch at a time: all arms read the same rows in the same order (a seed fixes them),
as many tokens, from the same first weights where their shapes allow it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import count
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from annotated_types import Gt
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import Optimizer

from headrace.artifacts.arrays import load_arrays, save_arrays
from headrace.artifacts.store import Draft, Store
from headrace.build.graph import Graph
from headrace.contracts.batch import Batch
from headrace.contracts.config import as_dict, config, digest
from headrace.contracts.requests import Float64, Int64
from headrace.contracts.rng import rng
from headrace.contracts.seams import Batches, Learned
from headrace.contracts.training import TrainConfig
from headrace.data.documents import corpus_digest, documents
from headrace.data.token_rows import TokenRows
from headrace.data.tokens import Tokens
from headrace.nn.attention.attend import FULL
from headrace.nn.attention.masks import MaskSpec
from headrace.nn.body.call import Inputs
from headrace.nn.body.config import Side, TransformerConfig
from headrace.nn.body.transformer import Transformer
from headrace.nn.seeded import seeded
from headrace.objectives.tokens import PredictedTokens
from headrace.text.tokenizer import Tokenizer, TokenizerConfig, train_tokenizer
from headrace.train.trainer import train

SPLITS = ("train", "valid", "test")
MADE_UP = "made-up"
"""A corpus without a source, for smoke runs."""


@config
class TextConfig:
    """corpus: a name of `data.documents`, or "made-up". locale: one language alone. most: characters of training text, about."""

    corpus: str = MADE_UP
    locale: str = ""
    tokenizer: TokenizerConfig = TokenizerConfig(kind="bytes")
    most: Annotated[int, Gt(0)] = 40_000_000


@dataclass(frozen=True, eq=False)
class Text:
    """A corpus as its tokenizer reads it; the tokenizer has seen its training part alone. digest: of corpus and tokenizer."""

    train: Tokens
    valid: Tokens
    test: Tokens
    tokenizer: Tokenizer
    digest: str


class Reading:
    """The text of a recipe, opened when its reproduction begins: `Trials.open_data`."""

    def __init__(self, asked: TextConfig):
        self.asked = asked

    def __call__(self, folder: Path) -> str:
        self.text = open_text(self.asked, folder)
        return self.text.digest


@lru_cache(maxsize=4)
def open_text(asked: TextConfig, folder: Path) -> Text:
    """folder: keeps the tokens."""
    graph = Graph(Store(folder / "store"))
    source = corpus_digest(asked.corpus) if asked.corpus != MADE_UP else "1"
    settings = {"text": as_dict(asked), "corpus": source}

    def make(draft: Draft) -> None:
        texts = {split: _said(asked, split) for split in SPLITS}
        tokenizer = train_tokenizer(texts["train"], asked.tokenizer)
        tokenizer.save(draft.path / "tokenizer.json")
        for split, said in texts.items():
            found = tokenizer.encode(said)
            save_arrays(draft.path / f"{split}.safetensors", {"ids": found.ids, "offsets": found.offsets})

    kept = graph.stage("text", make, config=settings, name=asked.corpus)
    parts = [load_arrays(kept.path / f"{split}.safetensors") for split in SPLITS]
    tokenizer = Tokenizer.load(kept.path / "tokenizer.json")
    learned_from, valid, test = (Tokens(part["ids"], part["offsets"]) for part in parts)
    return Text(learned_from, valid, test, tokenizer, digest([source, tokenizer.hash]))


def fitted(
    text: Text, of: TransformerConfig, *, rate: float, tokens: int, rows: int, length: int, seed: int, side: Side = "decoder",
    batches: Batches | None = None, balance: float = 0.0, parts: int = 1, watch: Callable[[Transformer], None] | None = None,
    maker: Callable[[nn.Module, TrainConfig], Optimizer] | None = None, **more: Any,
) -> Transformer:  # fmt: skip
    """One body of the text's vocabulary, trained on as many tokens. NotFinite where it diverged.

    batches: in place of the training text's rows. balance: weight of the experts' own loss. more: of TrainConfig. The rate is
    warmed up over 5% of the steps and goes down to 0 in a line; no weight decay (it would pull norms to 0), β2 0.98.
    watch: shown the body as it stands after each of as many equal `parts` of the run, without gradients. maker: of the optimizer,
    in place of the one that TrainConfig names.
    """
    of = replace(of, vocabulary=text.tokenizer.size)
    with seeded(seed, "language model"):
        body = Transformer(of, side)
    source = batches or TokenRows(text.train, length=length, batch_size=rows, seed=seed)
    steps = max(tokens // (rows * length), 1)
    learned = Learned(
        body, [PredictedTokens(balance=balance > 0)], First(source, steps, parts),
        weights={"balance": balance} if balance else {}, made_of={"tokenizer": text.tokenizer.hash},
    )  # fmt: skip
    asked: dict[str, Any] = {
        "epochs": parts, "learning_rate": rate, "schedule": "linear", "warmup_steps": max(steps // 20, 1), "device": "auto",
        "precision": "float32",
    }  # fmt: skip
    config, seen = TrainConfig(**{**asked, **more}), count()

    def watched() -> float:
        if watch is not None:
            watch(body)
        return float(next(seen))  # the newest weights count as the best, so they are kept

    train(
        learned, config, seed=seed, validate=None if watch is None else watched,
        optimizer=None if maker is None else lambda module: maker(module, config),
    )  # fmt: skip
    return body


class First(Sequence[Batch]):
    """The first `steps` batches of a source, across its epochs, as one epoch, or as equal parts. Implements `Batches`."""

    def __init__(self, source: Batches, steps: int, parts: int = 1, *, begin: int = 0):
        self.source, self.steps, self.parts, self.begin = source, max(steps // parts, 1), parts, begin

    def epoch(self, epoch: int) -> "First":
        return First(self.source, self.steps, begin=epoch * self.steps)

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, index: int) -> Batch:  # type: ignore[override]
        if not 0 <= index < self.steps:
            raise IndexError(index)
        index, number = index + self.begin, 0
        while index >= len(rows := self.source.epoch(number)):
            index, number = index - len(rows), number + 1
        return rows[index]


def rows_of(tokens: Tokens, length: int, *, most: int, seed: int = 0) -> Tensor:
    """[n, length + 1]: whole rows of text that is read end to end, at most so many, drawn."""
    n = (len(tokens.ids) - 1) // length
    begins: Int64 = np.sort(rng(seed, "rows of text", length).permutation(n)[:most]) * length
    return torch.from_numpy(tokens.ids[begins[:, None] + np.arange(length + 1)].astype(np.int64))


@torch.no_grad()
def row_losses(body: Transformer, rows: Tensor, *, mask: MaskSpec = FULL, last: int = 0, at_once: int = 16_384) -> Float64:
    """Mean cross-entropy of each row [n], nats a token; last: of its last so many positions alone. at_once: tokens a pass."""
    found = []
    for part in torch.split(rows, max(at_once // rows.shape[1], 1)):
        logits = body.logits(body(Inputs(ids=part[:, :-1], mask=mask)).last[:, -last:])
        losses = cross_entropy(logits.flatten(0, 1), part[:, 1:][:, -last:].flatten(), reduction="none")
        found.append(losses.view(len(part), -1).mean(1))
    return torch.cat(found).double().numpy()


def _said(asked: TextConfig, split: str) -> list[str]:
    if asked.corpus == MADE_UP:
        return made_up(400 if split == "train" else 60, split)
    said = documents(asked.corpus, split, locale=asked.locale or None)
    if split != "train":
        return said
    order, sizes = rng(0, "documents").permutation(len(said)), np.array([len(text) for text in said])
    return [said[place] for place in order[: 1 + int(np.searchsorted(np.cumsum(sizes[order]), asked.most))]]


def made_up(n: int, name: str) -> list[str]:
    """Sentences of a small grammar: each text has a subject it comes back to, so far words help."""
    subjects, verbs, things = (
        ("the cat", "a dog", "my aunt", "one fox"),
        ("sees", "likes", "meets", "wants"),
        ("milk", "rain", "a red hat"),
    )
    draw, texts = rng(0, "made-up text", name), []
    for number in draw.integers(0, len(subjects), n):
        parts = zip(draw.integers(0, len(verbs), 12), draw.integers(0, len(things), 12), strict=True)
        texts.append(" ".join(f"{subjects[number]} {verbs[verb]} {things[thing]}." for verb, thing in parts))
    return texts
