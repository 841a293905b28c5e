"""Users' interest summaries as a stage: a sentence a user, of events before a cut, for the rankers that read them (spar, embsum).

[summaries] says who writes them: a template of the words of what they chose, a chat model, or nobody (the control). The cut is
where the window begins that the ranker learns from, so no request of that window or later sees what came of it; the ranker keeps
what it read and serves it until the next build, and a user who came later has none. Who refuses training or personalisation at
the cut has none either, and no model is asked about them.

A model's answers are kept in the store's .summaries, so that a build that was stopped, or whose budget ended, asks nothing twice,
and one whose log has grown asks of those alone whose newest items are others. Once a user was erased, the first build after it
forgets every kept answer that it did not ask for: what was written of them is gone with it.
Cost: a pass over the events for the template; for a model a call a user.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from headrace.artifacts.arrays import load_arrays, save_arrays
from headrace.artifacts.store import Artifact, Draft
from headrace.build.graph import Graph
from headrace.cascade.item_words import said_of_items
from headrace.cascade.summaries_section import Summarised
from headrace.contracts.config import as_dict, digest
from headrace.contracts.errors import ConfigError
from headrace.contracts.requests import History
from headrace.contracts.rng import rng
from headrace.data.consent import Impersonal
from headrace.data.forget import ERASED, erased_users
from headrace.data.log import Log
from headrace.data.summaries import Summaries, extracted, words_of
from headrace.llm.budget import Budget
from headrace.llm.cache import AnswerCache
from headrace.llm.chat import Chatting
from headrace.llm.chosen import opened
from headrace.llm.profiles import PROMPT, lines_of, profiles
from headrace.llm.prompt import load

KEPT = ".summaries"
REVISION = 1
_FILE, _ANSWERS, _ERASED = "summaries.safetensors", "answers.sqlite", "erased"
_ALWAYS = 2**62


def summaries(
    graph: Graph, tables: Artifact, log: Log, cut_us: int, by: Summarised | None = None, steps: Mapping[str, Any] | None = None
) -> Artifact:
    """by: a template if None. steps: what the key has to say of a clock of steps."""
    by = by or Summarised()
    source = by.own.source

    def make(draft: Draft) -> None:
        graph.progress("summaries", 0, 1)
        told = dict[str, Any]()
        if source == "none":
            found = Summaries.none(len(log.users))
        elif source == "extractive":
            said = said_of_items(log, cut_us)
            words = words_of(said.whole, said.categories, said.known, by.extractive)
            found = extracted(_past(log, cut_us), words, by.extractive)
        else:
            with graph.store.locked(KEPT):  # builds of two cuts share the answers, and the count of what was spent
                found, told = _asked(graph, log, by, cut_us)
        save_arrays(draft.path / _FILE, dict(found.arrays()))
        draft.metrics = {"users": len(log.users) - 1, "with_summary": found.told, "source": found.source, **told}
        graph.progress("summaries", 1, 1)

    config: dict[str, Any] = {
        "cut_us": cut_us, "kinds": {name: as_dict(kind) for name, kind in log.kinds.items()}, "seed": log.seed,
        "clock": log.clock, "source": source, **(steps or {}),
    }  # fmt: skip
    if source == "extractive":
        config["settings"] = as_dict(by.extractive)
    if source == "model":
        config["by"] = {
            "users": by.own.users, "written": as_dict(by.wording), "prompt": load(PROMPT).id, "model": as_dict(_model(by).source),
            "settings": None if _model(by).settings is None else as_dict(_model(by).settings),
        }  # fmt: skip
    return graph.stage("summaries", make, config=config, inputs={"tables": tables}, revision=REVISION, personal=True, name=source)


def load_summaries(artifact: Artifact) -> Summaries:
    return Summaries.from_arrays(load_arrays(artifact.path / _FILE))


def _past(log: Log, cut_us: int) -> History:
    """Of everyone who may be told of: a row a user."""
    ends = log.store.places(cut_us)
    refusing = Impersonal(log.tables).users(cut_us if log.clock == "time" else _ALWAYS)
    if refusing:
        users = log.users.encode(refusing)
        ends[users] = log.store.events.offsets[users]
    return log.interactions_until(ends, cut_us).history


def _asked(graph: Graph, log: Log, by: Summarised, cut_us: int) -> tuple[Summaries, dict[str, Any]]:
    """What the model wrote, and how much of it could be used. BudgetReached where it would cost more than it may."""
    said, past = said_of_items(log, cut_us), _past(log, cut_us)
    lines = lines_of(said.titles, said.texts, said.categories, by.wording.words)
    if not any(lines):
        raise ConfigError(
            '[summaries] source = "model": no item has a title, a text or a category to be told of. Map a column to items.title, '
            'or take source = "none".'
        )
    users = np.flatnonzero(past.lengths > 0)
    if 0 < by.own.users < len(users):
        users = np.sort(rng(by.wording.seed, "users asked about").permutation(users)[: by.own.users])
    model, folder = _model(by), graph.store.root / KEPT
    erased = digest(sorted(erased_users(graph.store.root / ERASED)))
    with opened(model) as backend, AnswerCache(folder / _ANSWERS, durable=model.is_paid) as cache:
        chatting = Chatting(backend, cache, Budget(by.limits, cache.spent()), by.prices)
        found, tally = profiles(chatting, past, lines, by.wording, users=users)
        if _marked(folder) != erased:
            cache.only_looked_up()
    (folder / _ERASED).write_text(erased)
    return found, {"asked": tally.asked, "unparsed": tally.unparsed, "failed": tally.failed, "why": list(tally.reasons)}


def _model(by: Summarised) -> Any:
    assert by.model is not None, "a source of model has one: its section was checked"
    return by.model


def _marked(folder: Path) -> str:
    """Whose erasure the kept answers know of."""
    path = folder / _ERASED
    return path.read_text() if path.is_file() else digest([])
