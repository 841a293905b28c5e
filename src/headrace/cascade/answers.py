"""One answer, with the reason each item is there: which retriever proposed it, what each stage made of it, what chance did."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from headrace.cascade.cascade import Cascade
from headrace.contracts.requests import Candidates, Int32, Requests
from headrace.contracts.seams import Reasoned
from headrace.data.log import Log


@dataclass(frozen=True)
class Answered:
    """position from 1. because: the past item that spoke most for it, or None. propensity: its chance in that slot."""

    position: int
    item_id: str
    title: str
    propensity: float
    rank: int
    reasons: list[str]

    def as_dict(self) -> dict[str, Any]:
        return vars(self)


def answer(cascade: Cascade, log: Log, requests: Requests, *, seed: int) -> list[list[Answered]]:
    """A page for each request."""
    candidates = cascade.candidates(requests)
    slates = cascade.act(requests, candidates, seed=seed)
    titles = _titles(log)
    because = {name: r.because(requests, slates.items) for name, r in cascade.retrievers.items() if isinstance(r, Reasoned)}
    pages = []
    for row in range(len(requests)):
        page = []
        for slot in np.flatnonzero(slates.items[row]):
            item = int(slates.items[row, slot])
            place = int(np.flatnonzero(candidates.items[row] == item)[0])
            reasons = _proposed(candidates, row, place)
            reasons += [f"because of {titles[past[row, slot]]} ({name})" for name, past in because.items() if past[row, slot]]
            reasons.append(f"ranked {place + 1} of {int(candidates.there[row].sum())}")
            chance = float(slates.propensity[row, slot])
            if place > int(slot):
                reasons.append(f"shown by chance {chance:.3f} (exploration)")
            page.append(
                Answered(int(slot) + 1, str(log.items.decode(np.array([item]))[0]), titles[item], chance, place + 1, reasons)
            )
        pages.append(page)
    return pages


def _proposed(candidates: Candidates, row: int, place: int) -> list[str]:
    """'sasrec 3rd of 100' for each retriever that proposed it."""
    found = []
    for stage, scores in candidates.scores.items():
        mine = scores[row, place]
        if stage == "rank" or np.isnan(mine):
            continue
        known = scores[row][~np.isnan(scores[row])]
        found.append(f"{stage} put it {int((known > mine).sum()) + 1} of {len(known)}")
    return found


def _titles(log: Log) -> list[str]:
    """By item number; an item without a title goes by its id."""
    table = pl.read_parquet(log.tables / "items.parquet", columns=["item_id", "title", "valid_from"])
    last = table.sort("valid_from").group_by("item_id", maintain_order=True).last()
    titles = ["unknown", *log.items.ids.to_list()]
    numbers: Int32 = log.items.encode(last["item_id"])
    for number, title in zip(numbers.tolist(), last["title"].to_list(), strict=True):
        titles[number] = title or titles[number]
    return titles
