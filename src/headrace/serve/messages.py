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
Position = Annotated[int, Field(description="From 1.")]
ItemId = Annotated[str, Field(description="As the catalogue has it.")]
Title = Annotated[str, Field(description="What it is called; its id where it has no title.")]
Key = Annotated[str, Field(description="The key of the generation that answered.")]
TookMs = Annotated[float, Field(description="Time the answer took to work out, in ms; not the wait for its turn.")]


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
    user_id: Id = Field(description="Who asks, as the log names them; one it does not know gets a page too.", examples=["42"])
    request_id: Name | None = Field(
        None,
        description="Send it again to get the same page; a new one is made where it is missing.",
    )
    seed: int = Field(
        default=0, ge=0, lt=2**63, description="What the page leaves to chance is drawn by it and the request's id."
    )
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
    user_id: Id = Field(description="Who did it.", examples=["42"])
    item_id: Id = Field(description="To what.", examples=["mug"])
    at: AwareDatetime = Field(description="ISO 8601 with its offset from UTC.", examples=["2026-01-01T10:00:00Z"])
    kind: str | None = Field(default=None, min_length=1, description="May be left out where the log has one kind alone.")
    value: float | None = Field(default=None, allow_inf_nan=False, description="A rating, a price, seconds: as the kind has it.")
    request_id: Id | None = Field(default=None, description="Of the page it was done on: so the page counts as clicked.")
    position: int | None = Field(default=None, ge=1, lt=2**31, description="Where on the page, from 1.")
    session_id: Id | None = Field(default=None, description="A gap of 30 minutes parts sessions where it is missing.")
    query: str | None = Field(default=None, max_length=10_000, description="What had been searched for.")
    undoes: Id | None = Field(default=None, description="The event_id of the one that this takes back.")


_ONE, _SEVERAL = "one event", "several events"
Events = Annotated[
    Annotated[Event, Tag(_ONE)] | Annotated[list[Event], Tag(_SEVERAL), Field(min_length=1, max_length=10_000)],
    Discriminator(lambda sent: _SEVERAL if isinstance(sent, list) else _ONE),
]


class Shown(BaseModel):
    """An item of a page."""

    position: Position
    item_id: ItemId
    title: Title
    propensity: float = Field(description="The chance that it got this slot, given the slots above it.")
    rank: int = Field(description="Its place by the last stage that scored it, from 1.")
    reasons: list[str] = Field(description="Why it is here, in words.")


class Page(BaseModel):
    """Items in the order to show them."""

    request_id: str = Field(description="Send it with events on this page, to explain it, or again for the same page.")
    generation: Key
    policy_deterministic: bool = Field(description="Whether nothing is left to chance: propensities are then of no use.")
    items: list[Shown] = Field(description="The best first; fewer than asked for where too few may be shown.")
    latency_ms: TookMs
    degraded: list[str] = Field(
        default=[],
        description="What the page had to do without: retrieve.NAME, prerank, rank for want of time; history, items where Redis "
        "does not answer (what came since, and what was deleted since at other servers, is not known).",
    )
    said: list[str] = Field(default=[], description="What filters made of the page.")
    experiment: str | None = Field(default=None, description="The one that runs, if the request is in it.")
    arm: str | None = Field(default=None, description="The experiment's arm that answered.")


class Received(BaseModel):
    """How many events became what."""

    stored: int = Field(description="New, and part of their users' histories from now on.")
    repeated: int = Field(description="Known by their id, and not stored again.")
    erased: int = Field(default=0, description="Of users who were erased, and not stored either.")


class StageScore(BaseModel):
    """What a stage made of an item."""

    stage: str = Field(description="A retriever's name, prerank or rank.")
    score: float = Field(description="By the stage's own measure: comparable inside it alone.")
    rank: int | None = Field(description="From 1, among those it gave a score; null where only the log's sample is left.")
    of: int | None = Field(description="How many it gave a score; null as rank is.")


class ExplainedItem(BaseModel):
    """An item of the page, and its way there."""

    position: Position
    item_id: ItemId
    title: Title
    propensity: float = Field(description="The chance that it got this slot, given the slots above it.")
    proposed_by: list[str] = Field(description="Retrievers.")
    stages: list[StageScore] = Field(description="In the order they came.")
    acted: list[str] = Field(description="Rules and fallbacks that had a hand in it.")
    codes: str = Field(
        default="",
        description="Its semantic ids, if it has any, and words that stand out among the items with the same first code.",
    )


class Explanation(BaseModel):
    """A page, and why it was as it was."""

    request_id: str = Field(description="Of the page.")
    user_id: str = Field(description="Whom it was for.")
    at: datetime = Field(description="As of when it was answered.")
    surface: str = Field(description="Where it was shown, as the request said.")
    seed: int = Field(description="As the request said.")
    generation: Key
    worked_out_again: bool = Field(
        description="Whether the answer was computed anew and came out as it was given. Else the log alone speaks."
    )
    rules: list[str] = Field(description="What kept items from being proposed at all, in words.")
    items: list[ExplainedItem] = Field(description="Those shown, in order.")
    reads_as: str = Field(default="", description="The user in words, where a scorer reads them so.")


class Problem(BaseModel):
    """What can't be used, and why."""

    field: str = Field(description='"user_id"; of the fourth event in a list, "3.kind"; "server" where it is not the caller\'s.')
    message: str = Field(description="What was received, what was expected, what to do; it goes on where the field's name ends.")


class Failed(BaseModel):
    """What an error answers."""

    error: Problem = Field(description="The first that was found.")


class Refused(Exception):
    """What the caller sent can't be used."""

    def __init__(self, field: str, message: str, status: int = 422):
        super().__init__(message)
        self.problem, self.status = Problem(field=field, message=message), status
