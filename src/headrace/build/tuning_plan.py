"""A TOML that teaches a local model: which rows, which model, how; and what it says on rows that were held out, before and after.

    tuned(tuning_plan(values, where="reviews.toml", folder=folder), out)  ->  the adapter, loss and accuracy on held-out rows

A row is a prompt and an answer, or a whole chat under `messages`. Rows of one prompt are held out together, drawn by the seed, so
none is asked that was trained on. Where the answers are a few labels (`labels_of`), the one the model finds likeliest counts as
its answer. Resumable as every stage is.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from annotated_types import Gt, Lt
from scipy.stats import binomtest

from headrace.artifacts.atomic import place
from headrace.artifacts.store import Artifact, Store
from headrace.build.graph import Graph
from headrace.build.tuning import export, tune
from headrace.contracts.chat import Chat, Message
from headrace.contracts.config import as_dict, config, parse
from headrace.contracts.errors import ConfigError, DataError, listed, nearest
from headrace.contracts.progress import Progress, silent
from headrace.contracts.rng import rng
from headrace.data.sources import open_table
from headrace.llm.causal import causal
from headrace.llm.local import Local, LocalConfig, asked_of, with_adapter
from headrace.llm.smollm import smollm
from headrace.methods.align.sft import TRAIN, SftConfig

SECTIONS = ("model", "seed", "data", "tune")
OWN_MODEL = "smollm"
MOST_LABELS = 20


@config
class TuningDataConfig:
    """rows: a file, as in a shop's [data]. prompt, answer: its columns; messages: the column of whole chats in their place.

    system: said before each prompt. held_out: share of the prompts.
    """

    rows: str
    prompt: str = "prompt"
    answer: str = "answer"
    messages: str = ""
    system: str = ""
    held_out: Annotated[float, Gt(0), Lt(1)] = 0.1


@dataclass(frozen=True)
class TuningPlan:
    """model: "smollm", a file or folder beside the TOML, or "owner/name" on the hub. folder: what paths count from."""

    model: str
    seed: int
    data: TuningDataConfig
    sft: SftConfig
    folder: Path

    @property
    def source(self) -> str | Path:
        if self.model == OWN_MODEL:
            return smollm()
        beside = self.folder / self.model
        return beside if beside.exists() else self.model


@dataclass(frozen=True)
class Held:
    """Of n held-out chats: nats a token of what should be said, and how many were answered rightly, where there are labels."""

    n: int
    loss: float
    right: int | None

    @property
    def accuracy(self) -> tuple[float, float, float] | None:
        """With its 95% interval (Wilson's)."""
        if self.right is None:
            return None
        found = binomtest(self.right, self.n).proportion_ci(method="wilson")
        return self.right / self.n, float(found.low), float(found.high)


@dataclass(frozen=True)
class Tuned:
    adapter: Artifact
    trained_on: int
    before: Held
    after: Held
    merged: Path | None


def tuning_plan(values: Mapping[str, Any], *, where: str, folder: Path) -> TuningPlan:
    for name in values:
        if name not in SECTIONS:
            raise ConfigError(f"{where}: [{name}] is not a section.{nearest(name, SECTIONS)} Sections: {listed(SECTIONS)}.")
    model, seed, section = values.get("model", OWN_MODEL), values.get("seed", 0), dict(values.get("tune", {}))
    if not isinstance(model, str) or not isinstance(seed, int):
        raise ConfigError(f"{where}: model is {model!r} and seed {seed!r}: expected a text and a whole number.")
    if isinstance(section.get("train", {}), Mapping):  # what is not named there stays as it is for an adapter
        section["train"] = as_dict(TRAIN) | dict(section.get("train", {}))
    data = parse(TuningDataConfig, values.get("data", {}), where=f"{where} [data]")
    return TuningPlan(model, seed, data, parse(SftConfig, section, where=f"{where} [tune]"), folder)


def tuned(plan: TuningPlan, out: Path, *, merge: bool = False, progress: Progress = silent) -> Tuned:
    """out: keeps the adapter, checkpoints and tune.json; with merge, the merged model under merged/."""
    given, held_out = split(chats_of(plan.data, plan.folder), plan.data.held_out, plan.seed)
    labels, merged = labels_of(given), out / "merged"
    if merge and merged.exists():
        raise ConfigError(f"{merged}: is there already. Move it away, or leave out --merge.")
    read = causal(plan.source)
    before = held(asked_of(read, LocalConfig()), held_out, labels)
    adapter = tune(Graph(Store(out / "store"), progress), read, given, plan.sft, seed=plan.seed)
    after = held(with_adapter(read, adapter.path, LocalConfig()), held_out, labels)
    if merge:
        export(causal(plan.source), adapter.path, merged)
    found = Tuned(adapter, len(given), before, after, merged if merge else None)
    place(out / "tune.json", json.dumps(_figures(found), indent=1) + "\n")
    return found


def chats_of(data: TuningDataConfig, folder: Path) -> list[Chat]:
    source = open_table(data.rows, folder, section="[data] rows")
    wanted = [data.messages] if data.messages else [data.prompt, data.answer]
    lost = next((name for name in wanted if name not in source.columns), None)
    if lost is not None:
        raise DataError(f"{source.label}: no column {lost}.{nearest(lost, source.columns)} Columns: {listed(source.columns)}.")
    rows = source.collect().rows.select(wanted)
    before = [Message("system", data.system)] if data.system else []
    chats: list[Chat] = []
    for number, row in enumerate(rows.iter_rows(), 1):
        try:
            turns = _turns(row[0]) if data.messages else [Message("user", _said(row[0])), Message("assistant", _said(row[1]))]
        except (TypeError, KeyError, ValueError) as error:
            raise DataError(f"{source.label}, row {number:,}: {error}. Mend the row, or take it out.") from None
        chats.append([*before, *turns])
    return chats


def split(chats: Sequence[Chat], share: float, seed: int) -> tuple[list[Chat], list[Chat]]:
    """(given, held out). All chats that begin alike, up to their last answer, are on one side."""
    asked = [repr(_asked(chat)[0]) for chat in chats]
    distinct = list(dict.fromkeys(asked))
    n = max(round(share * len(distinct)), 1)
    if len(distinct) < 2:
        raise DataError(f"{len(distinct)} prompts: expected two at least, one to learn from and one to hold out.")
    out = {distinct[place] for place in rng(seed, "held out").permutation(len(distinct))[:n]}
    kept, left = ([chat for chat, one in zip(chats, asked, strict=True) if (one in out) is side] for side in (False, True))
    return kept, left


def labels_of(chats: Sequence[Chat]) -> list[str]:
    """The answers, where they are a choice: two to twenty, each given five times on the average; else none."""
    counts = Counter(_asked(chat)[1] for chat in chats)
    return sorted(counts) if 2 <= len(counts) <= MOST_LABELS and len(chats) >= 5 * len(counts) else []


def held(model: Local, chats: Sequence[Chat], labels: Sequence[str]) -> Held:
    """An answer that no label says counts as wrong."""
    pairs = [_asked(chat) for chat in chats]
    said = [[answer, *(label for label in labels if label != answer)] for _, answer in pairs]
    scored = model.score([asked for asked, _ in pairs], said)
    loss = -sum(float(one.log_prob[0]) for one in scored) / max(sum(int(one.tokens[0]) for one in scored), 1)
    if not labels:
        return Held(len(chats), loss, None)
    pairs_scored = zip(pairs, scored, strict=True)
    return Held(
        len(chats), loss, sum(answer in labels and int(np.argmax(one.log_prob)) == 0 for (_, answer), one in pairs_scored)
    )


def _asked(chat: Chat) -> tuple[list[Message], str]:
    """What stands before the last answer, and that. DataError where there is none."""
    last = max((place for place, message in enumerate(chat) if message.role == "assistant"), default=None)
    if not last:
        raise DataError(f"a chat without an answer to anything: {listed([message.role for message in chat]) or 'empty'}.")
    return list(chat[:last]), chat[last].content


def _turns(messages: Any) -> list[Message]:
    turns = [Message(one["role"], _said(one["content"])) for one in messages]
    wrong = next((turn.role for turn in turns if turn.role not in ("system", "user", "assistant")), None)
    if wrong is not None:
        raise ValueError(f'role "{wrong}" is none of system, user, assistant')
    return turns


def _said(value: Any) -> str:
    if value is None:
        raise ValueError("nothing is said")
    return str(value)


def _figures(found: Tuned) -> dict[str, Any]:
    sides = {"before": found.before, "after": found.after}
    return {
        "adapter": found.adapter.path.name, "trained_on": found.trained_on, **found.adapter.manifest.metrics,
        **{name: {"n": one.n, "loss": one.loss, "accuracy": one.accuracy} for name, one in sides.items()},
    }  # fmt: skip
