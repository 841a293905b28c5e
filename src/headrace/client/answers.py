"""What comes back of pages, items and events. Made by docs/make_client.py from the server's OpenAPI; not to be edited."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal


@dataclass(frozen=True, kw_only=True)
class Shown:
    position: int
    item_id: str
    title: str
    propensity: float
    rank: int
    reasons: list[str]


@dataclass(frozen=True, kw_only=True)
class Page:
    """degraded: what the page had to do without: retrieve.NAME, prerank, rank for want of time; history, items where Redis does
    not answer (what came since, and what was deleted since at other servers, is not known). said: what filters made of the
    page. arm: of the experiment, if one runs and the request is in it.
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
    """repeated: known by their id, and not stored again. erased: of users who were erased, and not stored either."""

    stored: int
    repeated: int
    erased: int = 0


@dataclass(frozen=True, kw_only=True)
class Placed:
    """known: the generation was built with it. recommendable: now; an item that is not known is where its text is like a known
    one's, else from the next build on. searchable: by what a search finds it.
    """

    item_id: str
    changed: bool
    known: bool
    recommendable: bool
    searchable: list[Literal["lexical", "vector"]]


@dataclass(frozen=True, kw_only=True)
class Stored:
    """stored: items that changed. unchanged: they stood like that already."""

    stored: int
    unchanged: int
    items: list[Placed]


@dataclass(frozen=True, kw_only=True)
class Alike:
    position: int
    item_id: str
    title: str
    score: float


@dataclass(frozen=True, kw_only=True)
class Similar:
    """by: "item_vectors", the retriever whose model says so, "co-occurrence", or "nothing"."""

    item_id: str
    by: str
    generation: str
    items: list[Alike]


@dataclass(frozen=True, kw_only=True)
class Described:
    """source: "put" since the build, or "build". since: when what was put came. item: its row, times in µs since 1970."""

    item_id: str
    known: bool
    recommendable: bool
    searchable: list[Literal["lexical", "vector"]]
    source: Literal["put", "build"]
    since: str | None
    item: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Deleted:
    """deleted: False where it had been before."""

    item_id: str
    deleted: bool
    known: bool


@dataclass(frozen=True, kw_only=True)
class Place:
    """rank from 1."""

    by: str
    rank: int
    score: float


@dataclass(frozen=True, kw_only=True)
class Hit:
    """score: of the way that ordered the list last. known: the generation was built with it."""

    position: int
    item_id: str
    title: str
    score: float
    known: bool
    matched: list[str] | None = None
    places: list[Place] | None = None


@dataclass(frozen=True, kw_only=True)
class Hits:
    """personal: whether the ranker had its say. said: what there is to say of the answer."""

    query: str
    mode: Literal["lexical", "vector", "hybrid"]
    personal: bool
    generation: str
    items: list[Hit]
    said: list[str]
    latency_ms: float


@dataclass(frozen=True, kw_only=True)
class StageScore:
    """rank: from 1, among the `of` items that the stage gave a score; null where only the log's sample is left."""

    stage: str
    score: float
    rank: int | None
    of: int | None


@dataclass(frozen=True, kw_only=True)
class ExplainedItem:
    """proposed_by: retrievers. acted: rules and fallbacks that had a hand in it. codes: its semantic ids, if it has any, and
    words that stand out among the items with the same first code.
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
    """worked_out_again: whether the answer was computed anew and came out as it was given. Else the log alone speaks. reads_as:
    the user in words, where a scorer reads them so.
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
