"""Generations: which there are, how those that are open fare, and who answers silently."""

from typing import Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel

from headrace.contracts.errors import HeadraceError
from headrace.flywheel.generations import Move
from headrace.serve.live.holder import GUARDRAIL, Live
from headrace.serve.messages import Failed, Refused
from headrace.serve.serving import Serving

_MOVES = 50


class Answers(BaseModel):
    """Of all processes, since the server was started, the last 10,000 at most. clicked: pages that a positive event followed, of
    `pages` whose time for it is over."""

    answers: int
    failed: int
    p50_ms: float | None
    p99_ms: float | None
    pages: int
    clicked: int


class Silent(BaseModel):
    """A shadow beside the live generation: means over its last 1,000 answers. overlap: of the page's items.

    rank_correlation: Spearman's, of the candidates both ranked."""

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


class OneGeneration(BaseModel):
    """number: 0 of a build without a ledger. says: why it was refused, or what the gates said of it."""

    number: int
    key: str
    status: Literal["live", "arm", "shadow", "open", "opening", "refused", "closed"]
    made: str
    says: str
    answers: Answers | None = None
    shadow: Silent | None = None


class Moved(BaseModel):
    """guardrail: whether a guardrail did it; its figures are in `why`."""

    what: Literal["promote", "rollback"]
    to: int
    at: str
    why: str
    guardrail: bool


class Watched(BaseModel):
    """The generation promoted last, while guardrails may roll it back."""

    number: int
    seconds_left: float


class AllGenerations(BaseModel):
    """serving: the number that answers. live: the one that the ledger names; another where that one was refused or is opening.

    problem: why the ledger can't be read, if it can't."""

    serving: int
    live: int
    generations: list[OneGeneration]
    moves: list[Moved]
    watch: Watched | None
    problem: str = ""


class Said(BaseModel):
    serving: int
    says: str


def routes(serving: Serving) -> APIRouter:
    router, live = APIRouter(), serving.live
    refused: dict[int | str, dict[str, Any]] = {409: {"model": Failed, "description": "It can't be opened, and why"}}

    @router.get("/v1/generations", response_model=AllGenerations, summary="Which generations there are, and how they fare")
    def generations() -> Any:
        return told(live)

    @router.post(
        "/v1/generations/reload", response_model=Said, responses=refused, summary="Look at the ledger now, and follow it"
    )
    def reload() -> Any:
        says = live.reload()
        if says.startswith("refused"):
            raise Refused("generation", f"{says} Generation {live.number} goes on.", status=409)
        return Said(serving=live.number, says=says)

    @router.post(
        "/v1/generations/{number}/shadow", response_model=Said, summary="Let it answer silently",
        responses={**refused, 404: {"model": Failed, "description": "There is no such generation"}},
    )  # fmt: skip
    def shadow(number: int) -> Any:
        known = {one.number: one for one in live.all()}
        if number not in known or not number:
            raise Refused("number", f"is {number}: there is no such generation. GET /v1/generations lists them.", status=404)
        if known[number].status == "live":
            raise Refused("number", f"is {number}: this one is live, and needs no shadow of its own.", status=409)
        try:
            live.cast(number)
        except HeadraceError as error:
            raise Refused("number", f"is {number}: {error}", status=409) from None
        return Said(serving=live.number, says=f"generation {number} answers silently beside {live.number}")

    @router.delete("/v1/generations/shadow", response_model=Said, summary="Let none answer silently any more")
    def alone() -> Any:
        live.cast(None)
        return Said(serving=live.number, says="no generation answers silently")

    return router


def told(live: Live) -> AllGenerations:
    watch, shadow, problem, moves = live.watch, live.shadow, "", list[Move]()
    try:
        moves = live.ledger.moves
    except HeadraceError as error:
        problem = str(error)
    return AllGenerations(
        serving=live.number, live=moves[-1].to if moves else live.number,
        generations=[
            OneGeneration(
                **vars(one), answers=_answers(live, one.key),
                shadow=Silent(**shadow.figures()) if shadow and shadow.candidate.generation == one.key else None,
            )
            for one in live.all()
        ],
        moves=[Moved(**vars(move), guardrail=move.why.startswith(GUARDRAIL)) for move in moves[-_MOVES:]],
        watch=None if watch is None else Watched(number=watch.number, seconds_left=round(watch.left_s, 1)), problem=problem,
    )  # fmt: skip


def _answers(live: Live, key: str) -> Answers | None:
    tally = live.current.shared.tallies.get(key)
    if tally is None:
        return None
    found = tally.since(float("-inf"), settled_s=live.settings.guardrails.click_wait_s)
    return Answers(
        answers=found.answers, failed=found.failed, p50_ms=found.ms(50), p99_ms=found.ms(99), pages=found.pages,
        clicked=found.clicked,
    )  # fmt: skip
