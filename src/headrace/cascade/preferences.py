"""What users wanted as of each moment, as a stage: templates of what was known before a cut, as vectors of the plan's encoder.

For retrievers that learn to follow preferences (mender). Templates write them, or the chat model that [preferences] names, about
a sample of all moments; its answers are kept in the store's answers.sqlite, so that a build that was stopped, or whose budget
ended, asks nothing twice. Opinions of the cut and later are not there at all; items are read as they stood at the cut. An
instruction's vector is of what it is about, as a sentence's is online (`encode.preferences`).
Cost: one encoding of each distinct instruction, some tens of thousands for a log of a hundred thousand events.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from headrace.artifacts.arrays import load_arrays, save_arrays
from headrace.artifacts.store import Artifact, Draft
from headrace.build.graph import Graph
from headrace.cascade.item_vectors import CACHE, load_text_encoder, texts_at
from headrace.cascade.item_words import said_of_items
from headrace.cascade.preferences_section import Written
from headrace.contracts.config import as_dict
from headrace.contracts.errors import ConfigError
from headrace.contracts.rng import rng
from headrace.data.log import Log
from headrace.data.preference_axes import Pool, Wishes, with_inverses
from headrace.data.preference_templates import Phrases, templates
from headrace.data.preferences import Opinions, Preferences
from headrace.encode.cache import CachedEncoder
from headrace.encode.preferences import instructions_of
from headrace.encode.tfidf import Tfidf
from headrace.llm.budget import Budget
from headrace.llm.cache import AnswerCache
from headrace.llm.chat import Chatting
from headrace.llm.chosen import opened
from headrace.llm.preferences import written

REVISION = 1
_FILE, _ANSWERS = "preferences.safetensors", "answers.sqlite"


def preferences(graph: Graph, tables: Artifact, log: Log, vectors: Artifact, cut_us: int, by: Written | None = None) -> Artifact:
    """vectors: the item vectors, whose encoder reads the instructions too. by: templates if None."""
    by = by or Written()
    if log.clock == "ordinal":
        raise ConfigError(
            "What a user wanted as of a moment needs times, and this log has an order alone, or is split by steps. Leave out the "
            'retriever that reads preferences, or split by time: [split] kind = "global_temporal".'
        )

    def make(draft: Draft) -> None:
        graph.progress("preferences", 0, 1)
        opinions = Opinions.of_log(log, until_us=cut_us)
        if by.model is None:
            found, told = templates(opinions, _phrases(log, cut_us)), dict[str, Any]()
        else:
            found, told = _asked(graph, log, opinions, by, cut_us)
        texts, polarity, inverse = with_inverses(found)
        encoder = load_text_encoder(vectors)
        if not isinstance(encoder, Tfidf):
            encoder = CachedEncoder(encoder, graph.store.root / CACHE)
        slots = instructions_of(texts, polarity.tolist(), encoder)
        arrays = dict(found.arrays())
        arrays |= {"mark": opinions.mark, "inverse": inverse, "slots": slots}
        arrays["added"] = np.frombuffer(_added(texts, found), np.uint8)
        save_arrays(draft.path / _FILE, arrays)
        draft.metrics = {"instructions": len(texts), "opinions": len(opinions.mark), "source": found.source, **told}
        graph.progress("preferences", 1, 1)

    config = {"cut_us": cut_us, "kinds": {name: as_dict(kind) for name, kind in log.kinds.items()}, "seed": log.seed}
    if by.model is not None:
        config["by"] = {
            "states": by.own.states, "written": as_dict(by.wording), "model": as_dict(by.model.source),
            "settings": None if by.model.settings is None else as_dict(by.model.settings),
        }  # fmt: skip
    inputs, name = {"tables": tables, "item_vectors": vectors}, "template" if by.model is None else by.model.source.backend
    return graph.stage("preferences", make, config=config, inputs=inputs, revision=REVISION, personal=True, name=name)


def load_wishes(artifact: Artifact) -> Wishes:
    arrays = load_arrays(artifact.path / _FILE)
    found = Preferences.from_arrays(arrays)
    added = arrays["added"].tobytes().decode()
    texts = (*found.texts, *(added.split("\n") if added else ()))
    slots = arrays["slots"]
    pool = Pool(texts, slots[:, -1].astype(np.int32), slots[:, :-1], arrays["inverse"])
    return Wishes(Opinions(found.events, arrays["mark"]), found, pool)


def _asked(graph: Graph, log: Log, opinions: Opinions, by: Written, cut_us: int) -> tuple[Preferences, dict[str, Any]]:
    """What the model wrote, and how much of it could be used. BudgetReached where it would cost more than it may."""
    assert by.model is not None
    states = np.arange(opinions.states)
    if 0 < by.own.states < len(states):
        states = np.sort(rng(by.wording.seed, "moments asked about").permutation(len(states))[: by.own.states])
    with opened(by.model) as backend, AnswerCache(graph.store.root / _ANSWERS, durable=by.model.is_paid) as cache:
        model = Chatting(backend, cache, Budget(by.limits, cache.spent()), by.prices)
        found, tally = written(model, opinions, texts_at(log, cut_us)[0], by.wording, states=states)
    return found, {"asked": tally.asked, "unparsed": tally.unparsed, "failed": tally.failed, "why": list(tally.reasons)}


def _phrases(log: Log, cut_us: int) -> Phrases:
    """Of what was said of each item at the cut."""
    said = said_of_items(log, cut_us)
    return Phrases.of(said.whole, said.categories, said.known)


def _added(texts: Sequence[str], found: Preferences) -> bytes:
    """The inverses that nobody has as a preference, a line each."""
    return "\n".join(texts[len(found.texts) :]).encode()
