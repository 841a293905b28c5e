"""What comes back of the server itself. Made by docs/make_client.py from the server's OpenAPI; not to be edited."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Ready:
    """reasons: what stands against sending requests here; none where it is ready."""

    ready: bool
    generation: str
    reasons: list[str]


@dataclass(frozen=True, kw_only=True)
class Answers:
    """Of all processes, since the server was started, the last 10,000 at most. clicked: pages that a positive event followed, of
    `pages` whose time for it is over.
    """

    answers: int
    failed: int
    p50_ms: float | None
    p99_ms: float | None
    pages: int
    clicked: int


@dataclass(frozen=True, kw_only=True)
class Silent:
    """A shadow beside the live generation: means over its last 1,000 answers. overlap: of the page's items. rank_correlation:
    Spearman's, of the candidates both ranked.
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
    """number: 0 of a build without a ledger. says: why it was refused, or what the gates said of it."""

    number: int
    key: str
    status: Literal["live", "arm", "shadow", "open", "opening", "refused", "closed"]
    made: str
    says: str
    answers: Answers | None = None
    shadow: Silent | None = None


@dataclass(frozen=True, kw_only=True)
class Moved:
    """guardrail: whether a guardrail did it; its figures are in `why`."""

    what: Literal["promote", "rollback"]
    to: int
    at: str
    why: str
    guardrail: bool


@dataclass(frozen=True, kw_only=True)
class Watched:
    """The generation promoted last, while guardrails may roll it back."""

    number: int
    seconds_left: float


@dataclass(frozen=True, kw_only=True)
class AllGenerations:
    """serving: the number that answers. live: the one that the ledger names; another where that one was refused or is opening.
    problem: why the ledger can't be read, if it can't.
    """

    serving: int
    live: int
    generations: list[OneGeneration]
    moves: list[Moved]
    watch: Watched | None
    problem: str = ""


@dataclass(frozen=True, kw_only=True)
class Said:
    serving: int
    says: str


@dataclass(frozen=True, kw_only=True)
class OneArm:
    """share: of the units in the experiment. answers: of all processes, since the server was started. units: exposed, by files
    written so far.
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
    """digest: of the sealed plan. planned: units of control in the end. exposures: what `headrace experiment analyse` reads."""

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
