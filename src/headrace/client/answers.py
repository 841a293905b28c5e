"""What comes back of pages, items and events. Made by docs/make_client.py from the server's OpenAPI; not to be edited."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal


@dataclass(frozen=True, kw_only=True)
class Shown:
    """An item of a page.

    position: From 1.
    item_id: As the catalogue has it.
    title: What it is called; its id where it has no title.
    propensity: The chance that it got this slot, given the slots above it.
    rank: Its place by the last stage that scored it, from 1.
    reasons: Why it is here, in words.
    """

    position: int
    item_id: str
    title: str
    propensity: float
    rank: int
    reasons: list[str]


@dataclass(frozen=True, kw_only=True)
class Page:
    """Items in the order to show them.

    request_id: Send it with events on this page, to explain it, or again for the same page.
    generation: The key of the generation that answered.
    policy_deterministic: Whether nothing is left to chance: propensities are then of no use.
    items: The best first; fewer than asked for where too few may be shown.
    latency_ms: Time the answer took to work out, in ms; not the wait for its turn.
    degraded: What the page had to do without: retrieve.NAME, prerank, rank for want of time; history, items where Redis does
    not answer (what came since, and what was deleted since at other servers, is not known).
    said: What filters made of the page.
    experiment: The one that runs, if the request is in it.
    arm: The experiment's arm that answered.
    """

    request_id: str
    generation: str
    policy_deterministic: bool
    items: list[Shown]
    latency_ms: float
    degraded: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    experiment: str | None = None
    arm: str | None = None


@dataclass(frozen=True, kw_only=True)
class Received:
    """How many events became what.

    stored: New, and part of their users' histories from now on.
    repeated: Known by their id, and not stored again.
    erased: Of users who were erased, and not stored either.
    """

    stored: int
    repeated: int
    erased: int = 0


@dataclass(frozen=True, kw_only=True)
class Placed:
    """What became of an item that was put.

    item_id: As the catalogue has it.
    changed: False where it stood like that already.
    known: Whether the generation was built with it.
    recommendable: Now. An item that is not known is where its text is like a known one's, else from the next build on.
    searchable: By what a search finds it.
    """

    item_id: str
    changed: bool
    known: bool
    recommendable: bool
    searchable: list[Literal["lexical", "vector"]]


@dataclass(frozen=True, kw_only=True)
class Stored:
    """All that were sent, in their order; in force when this is answered.

    stored: Items that changed.
    unchanged: Items that stood like that already.
    items: One for each that was sent.
    """

    stored: int
    unchanged: int
    items: list[Placed]


@dataclass(frozen=True, kw_only=True)
class Alike:
    """An item that is like the one asked about.

    position: From 1.
    item_id: As the catalogue has it.
    title: What it is called; its id where it has no title.
    score: How like it is, by what `by` says.
    """

    position: int
    item_id: str
    title: str
    score: float


@dataclass(frozen=True, kw_only=True)
class Similar:
    """Items like an item, never itself.

    item_id: As the catalogue has it.
    by: "item_vectors", the retriever whose model says so, "co-occurrence", or "nothing".
    generation: The key of the generation that answered.
    items: The most alike first.
    """

    item_id: str
    by: str
    generation: str
    items: list[Alike]


@dataclass(frozen=True, kw_only=True)
class Described:
    """An item as it stands.

    item_id: As the catalogue has it.
    known: Whether the generation was built with it.
    recommendable: Now. An item that is not known is where its text is like a known one's, else from the next build on.
    searchable: By what a search finds it.
    source: Whose row it is: put since the build, or the build's.
    since: When what was put came, ISO 8601 in UTC.
    item: Its row, by column; times in µs since 1970.
    """

    item_id: str
    known: bool
    recommendable: bool
    searchable: list[Literal["lexical", "vector"]]
    source: Literal["put", "build"]
    since: str | None
    item: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Deleted:
    """From now on nobody is shown it, until it is put again.

    item_id: As the catalogue has it.
    deleted: False where it had been deleted before.
    known: Whether the generation was built with it.
    """

    item_id: str
    deleted: bool
    known: bool


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where one way of finding put an item.

    by: lexical or vector.
    rank: From 1.
    score: BM25 of words, the cosine of vectors.
    """

    by: str
    rank: int
    score: float


@dataclass(frozen=True, kw_only=True)
class Hit:
    """An item that was found.

    position: From 1.
    item_id: As the catalogue has it.
    title: What it is called; its id where it has no title.
    score: Of the way that ordered the list last.
    known: Whether the generation was built with it.
    matched: Words of the query that it has, where explain was asked for.
    places: By each way that found it, where explain was asked for.
    """

    position: int
    item_id: str
    title: str
    score: float
    known: bool
    matched: list[str] | None = None
    places: list[Place] | None = None


@dataclass(frozen=True, kw_only=True)
class Hits:
    """What fits a query.

    query: As it was sent.
    mode: How it was looked for.
    personal: Whether the ranker had its say.
    generation: The key of the generation that answered.
    items: The best first.
    said: What there is to say of the answer, in words.
    latency_ms: Time the answer took to work out, in ms; not the wait for its turn.
    """

    query: str
    mode: Literal["lexical", "vector", "hybrid"]
    personal: bool
    generation: str
    items: list[Hit]
    said: list[str]
    latency_ms: float


@dataclass(frozen=True, kw_only=True)
class StageScore:
    """What a stage made of an item.

    stage: A retriever's name, prerank or rank.
    score: By the stage's own measure: comparable inside it alone.
    rank: From 1, among those it gave a score; null where only the log's sample is left.
    of: How many it gave a score; null as rank is.
    """

    stage: str
    score: float
    rank: int | None
    of: int | None


@dataclass(frozen=True, kw_only=True)
class ExplainedItem:
    """An item of the page, and its way there.

    position: From 1.
    item_id: As the catalogue has it.
    title: What it is called; its id where it has no title.
    propensity: The chance that it got this slot, given the slots above it.
    proposed_by: Retrievers.
    stages: In the order they came.
    acted: Rules and fallbacks that had a hand in it.
    codes: Its semantic ids, if it has any, and words that stand out among the items with the same first code.
    """

    position: int
    item_id: str
    title: str
    propensity: float
    proposed_by: list[str]
    stages: list[StageScore]
    acted: list[str]
    codes: str = ""


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """A page, and why it was as it was.

    request_id: Of the page.
    user_id: Whom it was for.
    at: As of when it was answered.
    surface: Where it was shown, as the request said.
    seed: As the request said.
    generation: The key of the generation that answered.
    worked_out_again: Whether the answer was computed anew and came out as it was given. Else the log alone speaks.
    rules: What kept items from being proposed at all, in words.
    items: Those shown, in order.
    reads_as: The user in words, where a scorer reads them so.
    """

    request_id: str
    user_id: str
    at: datetime
    surface: str
    seed: int
    generation: str
    worked_out_again: bool
    rules: list[str]
    items: list[ExplainedItem]
    reads_as: str = ""
