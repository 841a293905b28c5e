"""Who a user is to a cascade as of a moment: their events, sessions, categories, and what their ranker reads them as.

    found = profile(pipeline, "u91")
    found.summary                  # in a sentence
    found.agents[0].codes          # "183-70 (space, alien, crew)"
    found.reads_as                 # "likes crime, drama; recently western"

Events are those that the cascade's histories hold: of positive kinds, strictly before the moment. A share of a category is that
of the events whose item is in it, so shares of one user may add up to more than 1. Agents are those of a ranker that knows any
(`Interested`), of the newest events that it reads; each is named by the codes of the items behind it, but the one that tells
items apart, with the words that stand out among items of its first code. A ranker that reads words (`Summarising`) says in which
it reads the user: those of its last build, or its own.
Cost: what opening the build costs; of the user's own, one pass over their events. Serving never comes here.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np

from headrace.cascade.answers import Names
from headrace.cascade.categories import category_bags
from headrace.cascade.codes_in_words import CodesInWords
from headrace.cascade.pipeline import Pipeline
from headrace.cascade.reads_as import said_of
from headrace.cascade.scoring import Scoring
from headrace.cascade.semantic_ids import load_semantic_ids
from headrace.contracts.digests import digest
from headrace.contracts.errors import DataError, nearest
from headrace.contracts.explaining import Interested, Summarising
from headrace.contracts.requests import History, Int32, Requests
from headrace.data.consent import Impersonal
from headrace.data.erased import digest_of
from headrace.data.forget import ERASED, erased_users
from headrace.data.sessions import session_offsets

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SESSIONS, _CATEGORIES, _BEHIND = 3, 5, 3


@dataclass(frozen=True)
class Session:
    """titles: of its items, in the order they were had."""

    began: datetime
    titles: list[str]


@dataclass(frozen=True)
class Agent:
    """codes: with their words. votes: events behind it, share of those that were read. weight: 1 on average. newest: titles."""

    codes: str
    votes: int
    share: float
    weight: float
    newest: list[str]


@dataclass(frozen=True)
class Profile:
    """sessions: how many; last_sessions: the newest few, the newest first; session_events: median. first, last, at: None on a
    clock without times. agents: None for a ranker that has none. read: events they were made of. reads_as: what the ranker reads
    them as in words, "" for one that reads none. notes: what is not as usual."""

    user: str
    ranker: str
    at: datetime | None = None
    events: int = 0
    first: datetime | None = None
    last: datetime | None = None
    sessions: int = 0
    session_events: float = 0.0
    last_sessions: list[Session] = field(default_factory=list)
    categories: dict[str, float] = field(default_factory=dict)
    read: int = 0
    agents: list[Agent] | None = None
    reads_as: str = ""
    notes: list[str] = field(default_factory=list)

    @property
    def summary(self) -> str:
        """One sentence."""
        if not self.events:
            return f"User {self.user} has no events that the cascade looks at."
        said = f"User {self.user} has {_counted(self.events, 'event')}"
        if self.first is not None and self.last is not None:
            said += f" in {_counted(self.sessions, 'session')} from {self.first:%Y-%m-%d} to {self.last:%Y-%m-%d}"
        if self.categories:
            said += ", most of all " + ", ".join(f"{name} ({share:.0%})" for name, share in list(self.categories.items())[:2])
        if self.agents:
            said += f"; the ranker reads them as {_counted(len(self.agents), 'agent')}, the strongest {self.agents[0].codes}"
        return said + "."


def profile(pipeline: Pipeline, user_id: str, at: datetime | None = None) -> Profile:
    """at: with a zone; None: the end of the log."""
    if digest(user_id) in map(digest_of, erased_users(pipeline.graph.store.root / ERASED)):
        raise DataError(f'user "{user_id}" was erased: nothing of theirs is kept, and there is nothing to tell.')
    log, at_us = pipeline.log, pipeline.cuts.last_us + 1
    if at is not None:
        if log.clock == "ordinal":
            raise DataError("--at: this build's clock counts steps (its log has no times, or [split] goes by steps).")
        at_us = (at - _EPOCH) // timedelta(microseconds=1)
    number = log.users.encode([user_id])
    if not number[0]:
        raise DataError(f'user "{user_id}" is not in the log, which has {len(log.users) - 1:,}.{nearest(user_id, log.users.ids)}')
    named, timed = pipeline.plan.rank.use, log.clock == "time"
    moment = _time(at_us) if timed else None
    if Impersonal(pipeline.tables.path).holds(user_id, 2**62):  # the last word counts, as it does for an answer
        refused = "consent_personalise = false: nothing of theirs is looked at, and they get the page of somebody unknown."
        return Profile(user_id, named, moment, notes=[refused])
    past = log.store.as_of(number, np.array([at_us]))
    if not len(past.items):
        fallback = pipeline.plan.retrieve.fallback
        none = f"no event of a positive kind before {_written(moment)}: what no retriever can propose for them, {fallback} does."
        return Profile(user_id, named, moment, notes=[none])
    titles = Names.of(log).titles
    bounds = session_offsets(past.at_us) if timed else np.zeros(1, np.int64)
    sessions = [
        Session(_time(int(past.at_us[start])), [titles[item] for item in past.items[start:end].tolist()])
        for start, end in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)
    ]
    requests, ranking = pipeline.requests_of(number, np.array([at_us])), pipeline.scoring("rank")
    agents, read, notes = _agents(pipeline, ranking, requests, titles)
    said = said_of([ranking], requests)[0]
    if not said and isinstance(ranking.scorer, Summarising):
        notes.append(f"{named} has no summary of them.")
    if said and timed and at_us < (start := pipeline.window("rank")[0]):
        notes.append(f"what {named} reads them as may be of events up to {_written(_time(start))}, when it began to learn.")
    if not timed:
        notes.append("the log's clock has no times, so it has no sessions either.")
    return Profile(
        user_id, named, moment, len(past.items),
        _time(int(past.at_us[0])) if timed else None, _time(int(past.at_us[-1])) if timed else None,
        len(sessions), float(np.median(np.diff(bounds))) if sessions else 0.0, sessions[: -_SESSIONS - 1 : -1],
        _categories(pipeline, past), read, agents, said, notes,
    )  # fmt: skip


def _categories(pipeline: Pipeline, past: History) -> dict[str, float]:
    """The commonest among the events, and their shares."""
    names, bags = category_bags(pipeline.log)
    counts = Counter(number for number in bags[past.items].ravel().tolist() if number)
    best = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:_CATEGORIES]
    labels = names.decode(np.array([number for number, _ in best], np.int32))
    return {str(label): count / len(past.items) for label, (_, count) in zip(labels, best, strict=True)}


def _agents(
    pipeline: Pipeline, ranking: Scoring, requests: Requests, titles: Sequence[str]
) -> tuple[list[Agent] | None, int, list[str]]:
    """They, the events that they were made of, and what is to be said."""
    use, scorer = ranking.name, ranking.scorer
    if not isinstance(scorer, Interested):
        return None, 0, [f'the ranker "{use}" has no agents: it does not read a user as a few interests. hisac does.']
    found = scorer.agents_of(requests)
    length = found.of_event.shape[1]
    items: Int32 = requests.history.last(length)[0]
    read = min(length, int(requests.history.lengths[0]))
    ids = load_semantic_ids(pipeline.semantic_ids(pipeline.window("rank")[0])) if "semantic_ids" in scorer.needs else None
    words = None if ids is None else CodesInWords.told(ids, pipeline.log, pipeline.window("rank")[0])
    agents = []
    for number in np.flatnonzero(found.votes[0]).tolist():
        behind = items[found.of_event[0] == number][::-1].tolist()
        codes = "" if words is None else words.said(behind[0], words.ids.levels - 1)
        votes = int(found.votes[0, number])
        newest = [titles[item] for item in list(dict.fromkeys(behind))[:_BEHIND]]
        agents.append(Agent(codes, votes, votes / read, float(found.weights[0, number]), newest))
    return agents, read, [] if agents else [f"{use} has no agent for them: none of their items has codes."]


def _time(at_us: int) -> datetime:
    return _EPOCH + timedelta(microseconds=at_us)


def _written(moment: datetime | None) -> str:
    return "the end of the log" if moment is None else f"{moment:%Y-%m-%d %H:%M} UTC"


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}" + ("" if number == 1 else "s")
