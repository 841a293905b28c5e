"""What EmbSum costs: a user's side with and without its decoder, begun or decoded, the words alone, and a step of training.

    OMP_NUM_THREADS=1 python -m benchmarks.embsum

Untrained scorers with the own reader of default size (2 layers of 64) and a decoder of 2 layers of 64, 20 items in sessions of 5,
texts as in `benchmarks.reading`. A decoder that learned nothing does not say the end, so what it writes is as long as it may be,
48 tokens: a bound. One user at a time, and of 64 side by side. A step: forward and backward of 64 users with 8 candidates each,
all of them with a summary of 48 tokens. CPU time of one thread, in torch the median of rounds after one that warms up; through
ONNX Runtime the median over calls.
"""

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.reading import ITEMS, calls, cpu_ms, some_texts
from benchmarks.record import record
from headrace.contracts.batch import Batch
from headrace.contracts.rng import rng
from headrace.contracts.seams import Services
from headrace.data.summarised import SUMMARY
from headrace.encode.reading.reader import Reader
from headrace.methods.rank.embsum import EmbSum, EmbSumConfig
from headrace.nn.seeded import seeded
from headrace.objectives.listwise import ListwiseChoice
from headrace.objectives.summary import WithSummary
from headrace.serve.scorers.accelerate import SCORE, USER, ScorerSessions
from headrace.serve.scorers.export import export_score, export_user

USERS, CANDIDATES = 64, 8
WHOLE = EmbSumConfig()
ARMS = {
    "no decoder": replace(WHOLE, summary_weight=0.0, h_sum=False),
    "begin": WHOLE,
    "decoded": replace(WHOLE, at_serving="decoded"),
}


def made(settings: EmbSumConfig) -> EmbSum:
    """With the weights of a draw."""
    texts, scorer = some_texts(), EmbSum(settings)
    with seeded(0, "init"):
        reader = Reader.fitted(settings.reader, texts)
        scorer._set(reader, reader.tokenise(texts, settings.reader.tokens).astype(np.int32), 0, {})
    return scorer.eval()


def some_batch(settings: EmbSumConfig, vocabulary: int, *, words: bool) -> Batch:
    draw = rng(0, "events")
    batch = {
        "history": torch.from_numpy(draw.integers(1, ITEMS, (USERS, settings.history))),
        "items": torch.from_numpy(draw.integers(1, ITEMS, (USERS, CANDIDATES))),
        "retrieval": torch.zeros(USERS, CANDIDATES, 0),
        "label": torch.eye(CANDIDATES)[torch.from_numpy(draw.integers(0, CANDIDATES, USERS))],
    }
    summary = torch.from_numpy(draw.integers(1, vocabulary, (USERS, settings.summary_tokens)))
    return batch | {SUMMARY: summary} if words else batch


def figures(settings: EmbSumConfig) -> dict[str, Any]:
    scorer, words = made(settings), settings.summary_weight > 0
    batch = some_batch(settings, scorer.reader.vocabulary, words=words)
    some = {"history": batch["history"]}
    one = {"history": some["history"][:1]}
    objective: Any = WithSummary(ListwiseChoice("choice")) if words else ListwiseChoice("choice")

    def step() -> None:
        scorer.zero_grad()
        torch.stack([loss.mean for loss in objective(scorer, batch, Services({}, torch.Generator())).values()]).sum().backward()

    with torch.inference_mode():
        found: dict[str, Any] = {
            "user in torch, cpu_ms": cpu_ms(lambda: scorer.user(one)),
            "of 64 users, each, cpu_ms": round(cpu_ms(lambda: scorer.user(some), rounds=3) / USERS, 2),
            "parameters": sum(parameter.numel() for parameter in scorer.parameters()),
        }
        if settings.at_serving == "begin":
            with tempfile.TemporaryDirectory() as folder:
                export_user(scorer, Path(folder) / USER)
                export_score(scorer, Path(folder) / SCORE)
                sessions = ScorerSessions(scorer, Path(folder))
                found["user, onnx"] = calls(lambda: sessions.user(one))
    scorer.train()
    return found | {"step, cpu_ms": cpu_ms(step, rounds=3)}


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(record("embsum", {name: figures(settings) for name, settings in ARMS.items()}).read_text())
