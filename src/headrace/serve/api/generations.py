"""Generations: which there are, how those that are open fare, and who answers silently."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path
from pydantic import BaseModel, Field

from headrace.contracts.errors import HeadraceError
from headrace.flywheel.generations import Move
from headrace.serve.live.holder import GUARDRAIL, Live
from headrace.serve.messages import Failed, Refused
from headrace.serve.serving import Serving

_MOVES = 50


class Answers(BaseModel):
    """Of all processes, since the server was started, the last 10,000 at most."""

    answers: int = Field(description="How many, failed ones too.")
    failed: int = Field(description="Those that raised.")
    p50_ms: float | None = Field(description="Half took at most so long, in ms; null where none was given.")
    p99_ms: float | None = Field(description="99 in 100 took at most so long, in ms.")
    pages: int = Field(description="Shown, and the time to click on them is over.")
    clicked: int = Field(description="Of these pages, those that a positive event followed.")


class Silent(BaseModel):
    """A shadow beside the live generation: means over its last 1,000 answers, null where there are none."""

    answered: int = Field(description="Requests it answered, for nobody.")
    failed: int = Field(description="Requests on which it raised.")
    dropped: int = Field(description="Requests that it had no time for.")
    share: float = Field(description="Of requests it is asked, 0 to 1.")
    overlap: float | None = Field(description="Share of the page's items that both show, 0 to 1.")
    rank_correlation: float | None = Field(description="Spearman's, of the candidates both ranked, -1 to 1.")
    shadow_p50_ms: float | None = Field(description="Time its answers take, in ms.")
    shadow_p99_ms: float | None = Field(description="The same, of the slowest in a hundred.")
    live_p50_ms: float | None = Field(description="Time the real answers to the same requests took, in ms.")
    live_p99_ms: float | None = Field(description="The same, of the slowest in a hundred.")
    last_failure: str = Field(description="What it raised last.")


class OneGeneration(BaseModel):
    """A generation, and how it fares."""

    number: int = Field(description="In the order made; 0 of a build without a ledger.")
    key: str = Field(description="As answers name it.")
    status: Literal["live", "arm", "shadow", "open", "opening", "refused", "closed"] = Field(
        description="live: it answers; arm: of the experiment; shadow: it answers silently; open: kept to go back to; closed: in "
        "the ledger and not opened."
    )
    made: str = Field(description="When, ISO 8601.")
    says: str = Field(description="Why it was refused, or what the gates said of it.")
    answers: Answers | None = Field(default=None, description="null of one that has not answered since the server was started.")
    shadow: Silent | None = Field(default=None, description="Of the shadow alone.")


class Moved(BaseModel):
    """A move of the ledger."""

    what: Literal["promote", "rollback"] = Field(description="What was done.")
    to: int = Field(description="The generation that was live from then on.")
    at: str = Field(description="When, ISO 8601.")
    why: str = Field(description="In words, with figures.")
    guardrail: bool = Field(description="Whether a guardrail did it.")


class Watched(BaseModel):
    """The generation promoted last, while guardrails may roll it back."""

    number: int = Field(description="Of the generation.")
    seconds_left: float = Field(description="Until it is watched no more.")


class AllGenerations(BaseModel):
    """Generations of the run, as this process has them."""

    serving: int = Field(description="The number that answers.")
    live: int = Field(description="The number that the ledger names; another where that one was refused or is opening.")
    generations: list[OneGeneration] = Field(description="In the order made.")
    moves: list[Moved] = Field(description="The last 50, the oldest first.")
    watch: Watched | None = Field(description="null where no generation is watched.")
    problem: str = Field(default="", description="Why the ledger can't be read, if it can't.")


class Said(BaseModel):
    """What came of it."""

    serving: int = Field(description="The number that answers now.")
    says: str = Field(description="What was done, in words.")


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
    def shadow(number: Annotated[int, Path(description="Of a generation, as /v1/generations has them.")]) -> Any:
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
    def end_shadow() -> Any:
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
