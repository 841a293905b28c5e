"""What comes back of the server itself. Made by docs/make_client.py from the server's OpenAPI; not to be edited."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Ready:
    """Whether requests should be sent here.

    ready: As the status says: 200, or 503 where it is not.
    generation: The key of the generation that answered.
    reasons: What stands against it; none where it is ready.
    """

    ready: bool
    generation: str
    reasons: list[str]


@dataclass(frozen=True, kw_only=True)
class Answers:
    """Of all processes, since the server was started, the last 10,000 at most.

    answers: How many, failed ones too.
    failed: Those that raised.
    p50_ms: Half took at most so long, in ms; null where none was given.
    p99_ms: 99 in 100 took at most so long, in ms.
    pages: Shown, and the time to click on them is over.
    clicked: Of these pages, those that a positive event followed.
    """

    answers: int
    failed: int
    p50_ms: float | None
    p99_ms: float | None
    pages: int
    clicked: int


@dataclass(frozen=True, kw_only=True)
class Silent:
    """A shadow beside the live generation: means over its last 1,000 answers, null where there are none.

    answered: Requests it answered, for nobody.
    failed: Requests on which it raised.
    dropped: Requests that it had no time for.
    share: Of requests it is asked, 0 to 1.
    overlap: Share of the page's items that both show, 0 to 1.
    rank_correlation: Spearman's, of the candidates both ranked, -1 to 1.
    shadow_p50_ms: Time its answers take, in ms.
    shadow_p99_ms: The same, of the slowest in a hundred.
    live_p50_ms: Time the real answers to the same requests took, in ms.
    live_p99_ms: The same, of the slowest in a hundred.
    last_failure: What it raised last.
    """

    answered: int
    failed: int
    dropped: int
    share: float
    overlap: float | None
    rank_correlation: float | None
    shadow_p50_ms: float | None
    shadow_p99_ms: float | None
    live_p50_ms: float | None
    live_p99_ms: float | None
    last_failure: str


@dataclass(frozen=True, kw_only=True)
class OneGeneration:
    """A generation, and how it fares.

    number: In the order made; 0 of a build without a ledger.
    key: As answers name it.
    status: live: it answers; arm: of the experiment; shadow: it answers silently; open: kept to go back to; closed: in the
    ledger and not opened.
    made: When, ISO 8601.
    says: Why it was refused, or what the gates said of it.
    answers: null of one that has not answered since the server was started.
    shadow: Of the shadow alone.
    """

    number: int
    key: str
    status: Literal["live", "arm", "shadow", "open", "opening", "refused", "closed"]
    made: str
    says: str
    answers: Answers | None = None
    shadow: Silent | None = None


@dataclass(frozen=True, kw_only=True)
class Moved:
    """A move of the ledger.

    what: What was done.
    to: The generation that was live from then on.
    at: When, ISO 8601.
    why: In words, with figures.
    guardrail: Whether a guardrail did it.
    """

    what: Literal["promote", "rollback"]
    to: int
    at: str
    why: str
    guardrail: bool


@dataclass(frozen=True, kw_only=True)
class Watched:
    """The generation promoted last, while guardrails may roll it back.

    number: Of the generation.
    seconds_left: Until it is watched no more.
    """

    number: int
    seconds_left: float


@dataclass(frozen=True, kw_only=True)
class AllGenerations:
    """Generations of the run, as this process has them.

    serving: The number that answers.
    live: The number that the ledger names; another where that one was refused or is opening.
    generations: In the order made.
    moves: The last 50, the oldest first.
    watch: null where no generation is watched.
    problem: Why the ledger can't be read, if it can't.
    """

    serving: int
    live: int
    generations: list[OneGeneration]
    moves: list[Moved]
    watch: Watched | None
    problem: str = ""


@dataclass(frozen=True, kw_only=True)
class Said:
    """What came of it.

    serving: The number that answers now.
    says: What was done, in words.
    """

    serving: int
    says: str


@dataclass(frozen=True, kw_only=True)
class OneArm:
    """A part of the traffic, and who answers it.

    name: As the plan has it.
    control: Whether the others are compared with it.
    share: Of the units in the experiment, 0 to 1.
    generation: Who answers, by number.
    key: Who answers, as answers name it.
    answers: Of all processes, since the server was started.
    units: Exposed, by files written so far.
    """

    name: str
    control: bool
    share: float
    generation: int
    key: str
    answers: int
    units: int


@dataclass(frozen=True, kw_only=True)
class OneExperiment:
    """An experiment that runs on the served traffic.

    experiment: Its name.
    unit_kind: What is assigned to an arm: user or request.
    digest: Of the sealed plan.
    started_at: When, ISO 8601.
    planned: Units of control in the end.
    span: The part of all units that is in it: from, to, of 0 to 1.
    exposures: Files that `headrace experiment analyse` reads.
    arms: As the plan has them.
    """

    experiment: str
    unit_kind: str
    digest: str
    started_at: str
    planned: int
    span: tuple[float, float]
    exposures: str
    arms: list[OneArm]


@dataclass(frozen=True, kw_only=True)
class Forgotten:
    """What is left of them is a digest that says that they were erased.

    removed: Rows of what was served, by table; none of a user who was forgotten before.
    in_build: Whether the log that the generation was built from names them. It answers as if it did not; headrace forget takes
    them out of it, and the run is then built again.
    elsewhere: Other servers on the same Redis whose files may still name them. Each takes them out within rotate_s, or when it
    is started again: ask again to see it become 0. They are shown and taken in nowhere from now on.
    """

    removed: dict[str, int]
    in_build: bool
    elsewhere: int = 0
