"""A chat model writes interests in words, from the newest items' titles; the nearest interests of the catalogue are the anchors.

    anchors = the n different interests nearest to what it wrote:   argmax over a of cos(e(words), v(a))
    log P(a | history) = L · mean log-probability of a token of the words (`llm.interests`), or -log n without scores

e is what made the items' vectors, v(a) the mean of the vectors of an interest's items (`encode.semantic_ids.anchors`), so words
end where their meaning is, and no code can be made up. A description without a word that e knows is dropped, as is a second one
of the same interest. Without scores the confidence factor of `gpl` is the same for every anchor: it says nothing then.
An answer that could not be used leaves its user without anchors; `tally` counts them. Answers are kept where `keep` says, so that
what was paid for is not asked twice; a budget that ends stops the writing with what was written kept.
Shapes: n descriptions -> [n, d] · [interests, d]. Cost: a call a user, a few thousand tokens at most, and O(n interests d).
Use it where items have telling titles and there are few users, or a model at little cost; it needs no training and reads what a
model knows of the world. It loses to `causal` and `lora` where what follows what is more than likeness, and on large logs by its
price. Paper: GPL (arXiv 2602.20995) fine-tunes a model on codes instead; this way of asking is ours.
"""

from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from functools import cached_property
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Gt
from numpy.typing import NDArray

from headrace.contracts.config import config
from headrace.contracts.errors import ConfigError, DataError
from headrace.contracts.interactions import Interactions
from headrace.contracts.requests import Float32, History, Int32, Int64
from headrace.contracts.seams import Encoder
from headrace.data.prefixes import only_readable
from headrace.encode.minilm import minilm
from headrace.encode.semantic_ids.anchors import Centroids, interests, unit
from headrace.encode.semantic_ids.coded import Coded, only
from headrace.encode.semantic_ids.ids import SemanticIds
from headrace.encode.semantic_ids.words import words_of_codes
from headrace.encode.sentences import SentencesConfig
from headrace.encode.tfidf import Tfidf, TfidfConfig
from headrace.llm.asking import Tally
from headrace.llm.budget import Budget, Limits, Prices
from headrace.llm.cache import AnswerCache
from headrace.llm.chat import Chatting
from headrace.llm.chosen import Chosen, chosen, opened
from headrace.llm.interests import PROMPT, Foreseen, ForeseenConfig, foreseen
from headrace.llm.prompt import load
from headrace.methods.prerank.anchors.writer import fingerprint_of

ANSWERS = "anchors.sqlite"
_ENCODER = "encoder."

Scalar = bool | int | float | str


@config
class ChatWriterConfig:
    model: Mapping[str, Scalar | Mapping[str, Scalar]] = field(default_factory=lambda: {"backend": "llamacpp"})
    """As [model] of an annotation: backend, path, and the backend's own section. Paths count from where the command is run."""
    newest: Annotated[int, Gt(0)] = 20
    """Items that it is told."""
    characters: Annotated[int, Gt(0)] = 80
    """Of an item's text, which begins with its title."""
    words: Annotated[int, Ge(0)] = 3
    """Of each item's first code, beside it."""
    asked: ForeseenConfig = ForeseenConfig()
    limits: Limits = Limits()
    prices: Prices | None = None

    def __post_init__(self) -> None:
        if self.limits.max_cost is not None and self.prices is None:
            raise ConfigError(
                "chat: limits.max_cost is set, but no prices. Add them: prices = { prompt = ..., completion = ... }."
            )
        chosen(self.model, "chat", Path())

    @property
    def backend(self) -> Chosen:
        return chosen(self.model, "chat", Path())


class ChatWriter:
    """A closed-form `AnchorWriter` that is `Asking`. needs: codes, vectors and texts of items, and what made the vectors."""

    Config = ChatWriterConfig
    revision = 1
    needs: tuple[str, ...] = ("semantic_ids", "item_vectors", "item_texts", "text_encoder")
    at_once = 256

    def __init__(self, config: ChatWriterConfig, *, seed: int = 0):
        self.config, self.seed, self.cut_us = config, seed, 0
        self.tally = Tally()
        self._answers: Path | None = None
        self._budget: Budget | None = None

    def fit(self, interactions: Interactions, artifacts: Mapping[str, Any]) -> None:
        ids, texts = Coded.of(interactions, artifacts["semantic_ids"], "chat").ids, artifacts["item_texts"]
        if not any(texts):
            raise DataError("chat: no item has a text, so there is nothing to tell a model. Map a column to items.title.")
        self.coded, self.cut_us = Coded(ids, interactions.available & ids.there), interactions.cut_us
        if not self.coded.proposed.any():
            raise DataError("chat: no available item has codes, so there is no interest to be found. See that items have texts.")
        self.lines = self._lines(ids, texts)
        self._aim(Centroids(ids, artifacts["item_vectors"]).of(self._interests.codes[1:]), artifacts["text_encoder"])

    @property
    def ids(self) -> SemanticIds:
        return self.coded.ids

    @property
    def fingerprint(self) -> str:
        """What it may spend changes nothing of what it writes."""
        written = fingerprint_of(self, replace(self.config, limits=Limits(), prices=None))
        return sha256(f"{written}{load(PROMPT).id}".encode()).hexdigest()

    def keep(self, folder: Path) -> None:
        self._answers, self._budget = folder / ANSWERS, None

    def readable(self, history: History) -> History:
        return only_readable(history, self.ids.there).newest(self.config.newest)

    def write(self, history: History, n: int) -> tuple[Int32, Float32]:
        codes = np.full((len(history), n, self.ids.levels - 1), -1, np.int32)
        log_prob = np.full((len(history), n), -np.inf, np.float32)
        past = self.readable(history)
        rows = np.flatnonzero(past.lengths > 0)
        said = self._ask([self._told(items) for items in _items_of(past.take(rows))], n)
        nearest = iter(self._nearest([one.text for user in said for one in user]).tolist())
        for row, user in zip(rows.tolist(), said, strict=True):
            found = dict[int, float]()
            for one in user:
                place = next(nearest)
                if place >= 0 and place not in found:
                    found[place] = -np.log(n) if one.log_prob is None else one.log_prob * codes.shape[2]
            best = sorted(found, key=lambda place: -found[place])
            codes[row, : len(best)] = self._interests.codes[1:][best]
            log_prob[row, : len(best)] = [found[place] for place in best]
        return codes, log_prob

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        encoder = self.encoder.arrays() if isinstance(self.encoder, Tfidf) else {}
        return {
            **self.coded.arrays(),
            **{_ENCODER + name: values for name, values in encoder.items()},
            "lines": np.frombuffer("\n".join(self.lines).encode(errors="surrogatepass"), np.uint8),
            "interests": self.vectors, "seed": np.array(self.seed), "cut_us": np.array(self.cut_us, np.int64),
        }  # fmt: skip

    @classmethod
    def from_arrays(cls, config: ChatWriterConfig, arrays: Mapping[str, NDArray[Any]]) -> "ChatWriter":
        made = cls(config, seed=int(arrays["seed"]))
        made.coded, made.cut_us = Coded.from_arrays(arrays, "chat"), int(arrays["cut_us"])
        made.lines = arrays["lines"].tobytes().decode(errors="surrogatepass").split("\n")
        fitted = {name.removeprefix(_ENCODER): values for name, values in arrays.items() if name.startswith(_ENCODER)}
        made._aim(arrays["interests"], Tfidf.from_arrays(TfidfConfig(), fitted) if fitted else minilm(SentencesConfig()))
        return made

    def _aim(self, vectors: Float32, encoder: Encoder) -> None:
        self.vectors, self.encoder = vectors, encoder

    @cached_property
    def _interests(self) -> SemanticIds:
        """Those that available items have."""
        return interests(only(self.ids, self.coded.proposed))

    def _lines(self, ids: SemanticIds, texts: Sequence[str]) -> list[str]:
        """By item number: what it is told of each, on one line."""
        words = words_of_codes(ids, texts, top=self.config.words) if self.config.words else {}
        lines = []
        for text, code in zip(texts, ids.codes[:, 0].tolist(), strict=True):
            said, beside = " ".join(text.split())[: self.config.characters], ", ".join(words.get(code, ()))
            lines.append(f"- {said or '(no text)'}" + (f" ({beside})" if beside else ""))
        return lines

    def _told(self, items: Int32) -> str:
        """The newest first."""
        return "\n".join(self.lines[item] for item in items[::-1].tolist())

    def _ask(self, users: Sequence[str], n: int) -> list[list[Foreseen]]:
        settings = self.config
        if not users:
            return []
        with opened(settings.backend) as backend:
            cache = None if self._answers is None else AnswerCache(self._answers, durable=settings.backend.is_paid)
            try:
                self._budget = self._budget or Budget(settings.limits, None if cache is None else cache.spent())
                found, tally = foreseen(Chatting(backend, cache, self._budget, settings.prices), users, n, settings.asked)
            finally:
                if cache is not None:
                    cache.close()
        self.tally += tally
        return found

    def _nearest(self, texts: Sequence[str]) -> Int64:
        """Each text's interest, -1 for a text of no known word."""
        if not texts:
            return np.zeros(0, np.int64)
        vectors = unit(self.encoder.encode(texts, "query"))
        found: Int64 = (vectors @ self.vectors.T).argmax(1)
        return np.where(vectors.any(1), found, -1)


def _items_of(history: History) -> list[Int32]:
    return [history.items[start:stop] for start, stop in pairwise(history.offsets.tolist())]
