"""One answer, with the reason each item is there: which retriever proposed it, what each stage made of it, what chance did.

    walked = walk(cascade, requests, seed=0)      # every stage's outcome, kept
    page = pages(cascade, Names.of(log), walked)[0]

Names are read once and kept: they are most of an answer's time otherwise.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from headrace.cascade.cascade import Cascade
from headrace.cascade.codes_in_words import CodesInWords
from headrace.cascade.scoring import NEWCOMERS
from headrace.cascade.sparing import ORDER, Skips, Timed, in_order, never, untimed
from headrace.cascade.steering import PREFERENCE
from headrace.cascade.steps import Step, steps_of
from headrace.contracts.explaining import Ruled
from headrace.contracts.requests import Candidates, Requests, Slates
from headrace.data.log import Log


@dataclass(frozen=True)
class Names:
    """ids, titles: by item number; an item without a title goes by its id."""

    ids: list[str]
    titles: list[str]

    @classmethod
    def of(cls, log: Log) -> "Names":
        table = pl.read_parquet(log.tables / "items.parquet", columns=["item_id", "title", "valid_from"])
        last = table.sort("valid_from").group_by("item_id", maintain_order=True).last()
        ids = ["unknown", *log.items.ids.to_list()]
        titles = list(ids)
        for number, title in zip(log.items.encode(last["item_id"]).tolist(), last["title"].to_list(), strict=True):
            titles[number] = title or titles[number]
        return cls(ids, titles)


@dataclass(frozen=True)
class Walk:
    """Requests all the way. scored: stage -> all that reached it, best first. candidates: what the page was chosen from.

    cascade: whose answer it is. skipped: stages that were left out.
    """

    cascade: Cascade
    requests: Requests
    recalled: Candidates
    scored: dict[str, Candidates]
    candidates: Candidates
    slates: Slates
    skipped: tuple[str, ...] = ()


@dataclass(frozen=True)
class Answered:
    """position from 1. propensity: its chance in that slot. rank: its place in the last stage's order, from 1.

    reasons: what matters most: who proposed it best, its rank, whether a rule or chance put it here. details: every stage's.
    """

    position: int
    item_id: str
    title: str
    propensity: float
    rank: int
    reasons: list[str]
    details: list[str]

    def as_dict(self) -> dict[str, Any]:
        return vars(self)


def walk(cascade: Cascade, requests: Requests, *, seed: int, timed: Timed = untimed, skips: Skips = never) -> Walk:
    """The answer of `cascade.act`, with what each stage dropped kept beside it. timed: a context round each stage, by name.

    skips: asked before each stage whether it is left out (`sparing`). After a scorer that is, the others are too.
    """
    skipped: list[str] = []

    def left_out(stage: str) -> bool:
        out = skips(stage)
        if out:
            skipped.append(stage)
        return out

    with timed("retrieve"):
        found = recalled = cascade.recall(requests, left_out, timed)
    made: dict[str, Candidates] = {}
    for number, scoring in enumerate(cascade.scorings):
        if left_out(scoring.stage):
            skipped += [later.stage for later in cascade.scorings[number + 1 :]]
            break
        with timed(scoring.stage):
            made[scoring.stage], found = cascade.scored(scoring, requests, found)
    if not made:
        found = in_order(recalled)
        found = made[ORDER] = found if cascade.steering is None else cascade.steering(requests, found, ORDER)
    if PREFERENCE in found.scores:
        made[PREFERENCE] = made[list(made)[-1]]
    with timed("page"):
        found = cascade.with_pins(requests, found)
        slates = cascade.page.act(requests, found, seed=seed)
    return Walk(cascade, requests, recalled, made, found, slates, tuple(skipped))


def answer(
    cascade: Cascade, log: Log, requests: Requests, *, seed: int, names: Names | None = None, codes: CodesInWords | None = None
) -> list[list[Answered]]:
    """A page for each request. codes: said among the details."""
    return pages(cascade, names or Names.of(log), walk(cascade, requests, seed=seed), codes)


def pages(
    cascade: Cascade, names: Names, walked: Walk, codes: CodesInWords | None = None, *, detailed: bool = True
) -> list[list[Answered]]:
    """detailed: with what every stage made of each item; without it `details` are empty."""
    slates, candidates, page_of, new = walked.slates, walked.candidates, walked.cascade.page, walked.cascade.newcomers
    known = slates.items if new is None else np.where(slates.items < new.n_items, slates.items, 0)
    reasoned = {
        name: one for name, one in cascade.retrievers.items() if hasattr(one, "because")
    }  # `Reasoned`, a tenth of the time
    because = {name: one.because(walked.requests, known) for name, one in reasoned.items()}
    if new is not None:
        because[NEWCOMERS] = np.where(known > 0, 0, new.twin(slates.items))
    rules = (
        page_of.explain(walked.requests, slates)
        if isinstance(page_of, Ruled)
        else [[[] for _ in slots] for slots in slates.items]
    )
    last, proposed, propensity = list(walked.scored)[-1], walked.recalled.scores, slates.propensity
    found = []
    for row, shown in enumerate(slates.items):
        page = []
        slots = np.flatnonzero(shown).tolist()
        items, chances = shown[slots].tolist(), propensity[row, slots].tolist()
        places = (candidates.items[row] == shown[slots][:, None]).argmax(1).tolist()
        pasts = {name: items_of[row].tolist() for name, items_of in because.items()}
        made = steps_of(walked.recalled, walked.scored if detailed else {last: walked.scored[last]}, row, items)
        for slot, item, chance, place, judged in zip(slots, items, chances, places, made, strict=True):
            past = {name: names.titles[of_slots[slot]] for name, of_slots in pasts.items() if of_slots[slot]}
            named = [f"rule: {name}" for name in rules[row][slot]]
            ranked = [f"ranked {one.rank} of {one.of}" for one in judged if one.stage == last]
            if ranked and place > slot and chance < 1:  # a pinned item may be one that nobody proposed, and so have no rank
                ranked.append("shown by chance (exploration)")
            proposals = [one for one in judged if one.stage in proposed]
            reasons, details = [*named, *_best(proposals, past), *ranked], list[str]()
            if detailed:
                details = [*named, *(f"{one.stage} put it {one.rank} of {one.of}" for one in judged if one.stage != last)]
                details += [*(f"because of {title} ({name})" for name, title in past.items()), *ranked]
            if detailed and codes is not None and (said := codes.said(item)):
                details.append(f"codes {said}")
            page.append(Answered(slot + 1, names.ids[item], names.titles[item], chance, place + 1, reasons, details))
        found.append(page)
    return found


def _best(proposals: Sequence[Step], past: Mapping[str, str]) -> list[str]:
    """Who proposed it best, and because of what: by that retriever if it can say so, else by the first that can."""
    if not proposals:
        return []
    best = min(proposals, key=lambda one: (one.rank, -one.of))
    said = f"{best.stage} put it {best.rank} of {best.of}"
    source = best.stage if best.stage in past else next(iter(past), None)
    if source is None:
        return [said]
    return [f"{said}, because of {past[source]}" + ("" if source == best.stage else f" ({source})")]


def steps(walked: Walk, row: int, items: Sequence[int]) -> list[list[Step]]:
    """Of each item, every stage that gave it a score, in order: the retrievers that proposed it, then the scorers."""
    return steps_of(walked.recalled, walked.scored, row, items)
