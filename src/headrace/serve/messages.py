"""What goes in and out over HTTP, and how a message that can't be used is refused: which field, and why."""

from datetime import datetime
from typing import Annotated

from headrace.contracts.errors import MissingExtra

try:
    from pydantic import AwareDatetime, BaseModel, ConfigDict, Discriminator, Field, Tag
except ImportError:
    raise MissingExtra("fastapi", "serve", "Serving") from None

_PLAIN = r"^[^\x00-\x1f\x7f]*$"
"""No control characters: an id goes into logs, tables and terminals."""
Id = Annotated[str, Field(min_length=1, max_length=10_000, pattern=_PLAIN)]
Name = Annotated[str, Field(min_length=1, max_length=200, pattern=_PLAIN)]
_STRICT = ConfigDict(extra="forbid")


Value = bool | float | str


class Wanted(BaseModel):
    """Of one column of the items table. All that is said has to hold."""

    model_config = _STRICT
    any: list[Value] | None = Field(default=None, min_length=1, max_length=1000, description="It has one of these.")
    none: list[Value] | None = Field(default=None, min_length=1, max_length=1000, description="It has none of these.")
    min: float | None = Field(default=None, allow_inf_nan=False, description="Of a number: at least.")
    max: float | None = Field(default=None, allow_inf_nan=False, description="Of a number: at most.")


Filters = dict[str, Wanted]
BY_COLUMN = "By column of the items table: any, none, min, max. All have to hold."


class Ask(BaseModel):
    """Whom the page is for."""

    model_config = _STRICT
    user_id: Id = Field(examples=["42"])
    request_id: Name | None = Field(
        None,
        description="Send it again to get the same page; a new one is made where it is missing.",
    )
    seed: int = Field(default=0, ge=0, lt=2**63)
    n: int | None = Field(
        default=None, gt=0, description="Items wanted, at most as many as the page has slots; all of them by default."
    )
    exclude: list[Id] = Field(default=[], max_length=10_000, description="Items not to be shown.")
    surface: Name = Field(default="home", description="Where the page is shown; it is logged.")
    preference: str | None = Field(
        default=None,
        max_length=200_000,
        description="What they want, in words: the page follows it. Of a long one the beginning is read.",
        examples=["comedies, no horror"],
    )
    filters: Filters | None = Field(default=None, description=BY_COLUMN, examples=[{"categories": {"any": ["socks"]}}])
    deadline_ms: float | None = Field(
        default=None, gt=0, le=60_000, allow_inf_nan=False,
        description="Within which the answer is wanted, from its arrival on: stages there is no time for are left out.",
    )  # fmt: skip


class Event(BaseModel):
    """A row of the log's events table; `received_at` is the server's to say."""

    model_config = _STRICT
    event_id: Id | None = Field(
        None, description="A hash of the event where it is missing. One that is known is not stored again."
    )
    user_id: Id
    item_id: Id
    at: AwareDatetime = Field(description="ISO 8601 with its offset from UTC.", examples=["2026-01-01T10:00:00Z"])
    kind: str | None = Field(default=None, min_length=1, description="May be left out where the log has one kind alone.")
    value: float | None = Field(default=None, allow_inf_nan=False)
    request_id: str | None = None
    position: int | None = Field(default=None, ge=1, lt=2**31)
    session_id: str | None = None
    query: str | None = None
    undoes: str | None = None


_ONE, _SEVERAL = "one event", "several events"
Events = Annotated[
    Annotated[Event, Tag(_ONE)] | Annotated[list[Event], Tag(_SEVERAL), Field(min_length=1, max_length=10_000)],
    Discriminator(lambda sent: _SEVERAL if isinstance(sent, list) else _ONE),
]


class Shown(BaseModel):
    position: int
    item_id: str
    title: str
    propensity: float
    rank: int
    reasons: list[str]


class Page(BaseModel):
    """degraded: what the page had to do without: retrieve.NAME, prerank, rank for want of time; history, items where Redis does
    not answer (what came since, and what was deleted since at other servers, is not known). said: what filters made of the page.
    arm: of the experiment, if one runs and the request is in it."""

    request_id: str
    generation: str
    policy_deterministic: bool
    items: list[Shown]
    latency_ms: float
    degraded: list[str] = []
    said: list[str] = []
    experiment: str | None = None
    arm: str | None = None


class Received(BaseModel):
    """repeated: known by their id, and not stored again. erased: of users who were erased, and not stored either."""

    stored: int
    repeated: int
    erased: int = 0


class StageScore(BaseModel):
    """rank: from 1, among the `of` items that the stage gave a score; null where only the log's sample is left."""

    stage: str
    score: float
    rank: int | None
    of: int | None


class ExplainedItem(BaseModel):
    """proposed_by: retrievers. acted: rules and fallbacks that had a hand in it. codes: its semantic ids, if it has any, and
    words that stand out among the items with the same first code."""

    position: int
    item_id: str
    title: str
    propensity: float
    proposed_by: list[str]
    stages: list[StageScore]
    acted: list[str]
    codes: str = ""


class Explanation(BaseModel):
    """worked_out_again: whether the answer was computed anew and came out as it was given. Else the log alone speaks. reads_as:
    the user in words, where a scorer reads them so."""

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


class Problem(BaseModel):
    """field: "user_id"; of the fourth event in a list, "3.kind"."""

    field: str
    message: str


class Failed(BaseModel):
    """What an error answers."""

    error: Problem


class Refused(Exception):
    """What the caller sent can't be used."""

    def __init__(self, field: str, message: str, status: int = 422):
        super().__init__(message)
        self.problem, self.status = Problem(field=field, message=message), status
