"""Does a small local model learn a labelling task from some hundred examples, on a CPU in minutes?

SmolLM2-135M-Instruct is told to say whether a sentence of a film review is positive or negative. Its answer is the word that it
finds likelier. Each seed draws other training phrases and another start of the adapter; the test sentences are the same for all.

| arm | |
|---|---|
| untuned | asked as it came |
| untuned_shifted | the same, with the threshold between the two words that is best on some training phrases |
| tuned | asked the same after fine-tuning a low-rank adapter on the training phrases (`methods.align.sft`) |
| tfidf | logistic regression on words and word pairs of the same phrases, its penalty chosen by folds |
| majority | the label that most training phrases have |

| figure | one a | |
|---|---|---|
| accuracy | test sentence | 1 where the label is right |
| cpu_seconds | run | of fitting; of shifting, where the arm has that alone |

Paper: Hu et al., LoRA, ICLR 2022 (arXiv 2106.09685). Our reading and the sizes: docs/papers/sft.md.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from time import process_time
from typing import Annotated, Any

import numpy as np
import polars as pl
from annotated_types import Gt

from headrace.contracts.chat import Message
from headrace.contracts.config import as_dict, config, digest
from headrace.contracts.requests import Float64, Int64
from headrace.contracts.rng import rng
from headrace.contracts.training import TrainConfig
from headrace.data.documents import corpus_digest, table
from headrace.llm.causal import Causal, causal
from headrace.llm.local import LocalConfig, asked_of
from headrace.llm.lora import LoraConfig
from headrace.llm.smollm import smollm
from headrace.methods.align.sft import Sft, SftConfig
from headrace.recipes.cells import Figures
from headrace.recipes.claims import Claim
from headrace.recipes.protocol import Budget
from headrace.recipes.terms_regression import leads as leads_of_terms
from headrace.recipes.trials import TrialArm, Trials
from headrace.train.trainer import train

_MAIN = "sentences"
_PUBLISHED = "of larger models and whole data sets: the adapter alone does as well as tuning all weights, or better"
CLAIM = Claim(
    says="Fine-tuned on some hundred phrases, the model labels at least 20 points more of the sentences rightly than before.",
    published=_PUBLISHED, metric="accuracy", better="tuned", than="untuned", protocol=_MAIN, margin=0.20,
)  # fmt: skip
FURTHER = (
    Claim(
        says="It labels more of them rightly than logistic regression on the words and word pairs of the same phrases.",
        published="not in the paper", metric="accuracy", better="tuned", than="tfidf", protocol=_MAIN,
    ),
    Claim(
        says="At least 10 points of what it gains are not to be had by shifting the untuned model's threshold.",
        published="not in the paper", metric="accuracy", better="tuned", than="untuned_shifted", protocol=_MAIN, margin=0.10,
    ),
)  # fmt: skip
ARMS = ("untuned", "untuned_shifted", "tuned", "tfidf", "majority")
SYSTEM = "Say whether the review is positive or negative."
LABELS = ("negative", "positive")
MADE_UP = "made-up"


@config
class SftRunConfig:
    """phrases: trained on; sentences: tested on; shifted_on: of the phrases, for the shifted arm."""

    corpus: str = "sst2"
    phrases: Annotated[int, Gt(0)] = 800
    sentences: Annotated[int, Gt(0)] = 400
    shifted_on: Annotated[int, Gt(0)] = 200
    sft: SftConfig = SftConfig(
        lora=LoraConfig(rank=8, alpha=16.0, dropout=0.05), length=256, rows=1,
        train=TrainConfig(
            epochs=1, learning_rate=1e-3, schedule="linear", warmup_steps=5, beta2=0.999, device="cpu", precision="float32"
        ),
    )  # fmt: skip


_SMOKE = SftRunConfig(
    corpus=MADE_UP, phrases=24, sentences=12, shifted_on=8,
    sft=SftConfig(lora=LoraConfig(rank=2), rows=2, length=256, train=TrainConfig(epochs=1, device="cpu")),
)  # fmt: skip
_FULL = SftRunConfig(phrases=8_000, sentences=872)


def work(budget: Budget) -> Trials:
    chosen = {"smoke": _SMOKE, "cpu": SftRunConfig(), "full": _FULL}[budget]
    labelling = Labelling(chosen)
    return Trials(
        data=chosen.corpus,
        arms={name: TrialArm({"kind": name}) for name in ARMS},
        settings={_MAIN: as_dict(chosen)},
        described={
            _MAIN: f"{chosen.sentences} of the validation split's sentences; {chosen.phrases} phrases trained on, once each"
        },
        seeds=2 if budget == "smoke" else 3,
        metrics=("accuracy", "cpu_seconds"),
        run=lambda setting, own, seed: labelling.run(own["kind"], seed),
        open_data=labelling.open,
        unit="sentences",
    )


@dataclass(frozen=True, eq=False)
class Labelled:
    """labels [n]: 0 or 1."""

    texts: Sequence[str]
    labels: Int64

    def take(self, rows: Int64) -> "Labelled":
        return Labelled([self.texts[row] for row in rows], self.labels[rows])


class Labelling:
    """The task, opened when its reproduction begins."""

    def __init__(self, settings: SftRunConfig):
        self.settings = settings

    def open(self, folder: Path) -> str:
        made_up = self.settings.corpus == MADE_UP
        self.known, tested = (_made_up() if made_up else _split(self.settings.corpus, split) for split in ("train", "valid"))
        rows = rng(0, "tested sentences").permutation(len(tested.texts))[: self.settings.sentences]
        self.tested = tested.take(np.sort(rows))
        return digest([MADE_UP if made_up else corpus_digest(self.settings.corpus), self.read.digest])

    @cached_property
    def read(self) -> Causal:
        if self.settings.corpus == MADE_UP:
            from headrace.testing.tiny_llama import tiny

            return tiny()
        return causal(smollm())

    def run(self, kind: str, seed: int) -> Figures:
        began, asked = process_time(), self.tested
        rows = rng(seed, "trained phrases").permutation(len(self.known.texts))[: self.settings.phrases]
        given = self.known.take(rows)
        if kind == "tuned":
            lead, seconds = self._tuned(given, seed)
        elif kind == "tfidf":
            lead = leads_of_terms(given.texts, given.labels, asked.texts, seed=seed)
            seconds = process_time() - began
        elif kind == "majority":
            lead, seconds = np.full(len(asked.texts), given.labels.mean() - 0.5), 0.0
        else:
            few = given.take(np.arange(self.settings.shifted_on))
            threshold = best_threshold(self._leads(few.texts), few.labels) if kind == "untuned_shifted" else 0.0
            seconds = process_time() - began
            lead = self._untuned - threshold
        return {"accuracy": ((lead > 0) == (asked.labels == 1)).astype(np.float64), "cpu_seconds": np.array([seconds])}

    def _tuned(self, given: Labelled, seed: int) -> tuple[Float64, float]:
        began, sft = process_time(), Sft(self.settings.sft, seed=seed)
        chats = [
            [*_asked(text), Message("assistant", LABELS[label])] for text, label in zip(given.texts, given.labels, strict=True)
        ]
        train(sft.learn(self.read, chats), self.settings.sft.train, seed=seed, name="sft")
        seconds = process_time() - began
        lead = self._leads(self.tested.texts)
        sft.adapter.taken_off()
        return lead, seconds

    @cached_property
    def _untuned(self) -> Float64:
        return self._leads(self.tested.texts)

    def _leads(self, texts: Sequence[str]) -> Float64:
        """log p(positive) - log p(negative), by the model as it stands."""
        model = asked_of(self.read, LocalConfig())
        scored = model.score([_asked(text) for text in texts], [LABELS] * len(texts))
        return np.array([one.log_prob[1] - one.log_prob[0] for one in scored])


def best_threshold(leads: Float64, labels: Int64) -> float:
    """Between two leads, or outside of all, where most labels are right; the middle of such places if there are several."""
    ordered = np.sort(leads)
    places = np.concatenate([[ordered[0] - 1], (ordered[1:] + ordered[:-1]) / 2, [ordered[-1] + 1]])
    right = ((leads > places[:, None]) == (labels == 1)).sum(1)
    best = places[right == right.max()]
    return float(best[len(best) // 2])


def _asked(text: str) -> list[Message]:
    return [Message("system", SYSTEM), Message("user", text)]


def _split(corpus: str, split: str) -> Labelled:
    rows = table(corpus).filter(pl.col("split") == split)
    return Labelled(rows["text"].to_list(), rows["label"].cast(pl.Int64).to_numpy())


def _made_up() -> Labelled:
    words: Mapping[str, Any] = {"good": 1, "warm": 1, "dull": 0, "cold": 0}
    texts = [f"a {word} {thing} {number}" for number in range(5) for thing in ("film", "play") for word in words]
    return Labelled(texts, np.array([words[text.split()[1]] for text in texts]))
