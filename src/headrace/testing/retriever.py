"""What every retriever promises the cascade: the best allowed items, best first, the same for a request in any company."""

from dataclasses import replace

import numpy as np

from headrace.contracts.explaining import Reasoned
from headrace.contracts.requests import Allowed, Candidates, History, Requests
from headrace.contracts.seams import Retriever, Stored
from headrace.testing.expect import expect, expect_close, expect_equal
from headrace.testing.stored import check_stored

_EVERYTHING = Allowed()


def check_retriever(retriever: Retriever, requests: Requests, n_items: int, *, k: int = 5) -> None:
    """retriever: fitted on a catalogue of n_items, item 0 counted in. requests: some of them with a history."""
    expect(isinstance(retriever, Retriever), f"{type(retriever).__name__} has no retrieve(requests, k, allowed).")
    found = retriever.retrieve(requests, k, _EVERYTHING)
    expect(found.there.any(), "Nothing is proposed for any of the requests, so there is nothing to check.")
    _well_formed(found, len(requests), k, n_items)
    _answers_alike(retriever.retrieve(requests, k, _EVERYTHING), found, "asked a second time")
    _allowed(retriever, requests, n_items, k)
    _any_size(retriever, requests, n_items, k, found)
    _any_history(retriever, requests, n_items, k)
    if isinstance(retriever, Reasoned):
        _reasons(retriever, requests, found)
    if isinstance(retriever, Stored):
        copy = check_stored(retriever)
        for asked in (k, n_items):
            first, second = (one.retrieve(requests, asked, _EVERYTHING) for one in (retriever, copy))
            expect_equal(second.items, first.items, "Read back, the retriever proposes other items")
            expect_equal(_score(second), _score(first), "Read back, the retriever gives other scores")


def _well_formed(found: Candidates, rows: int, k: int, n_items: int) -> None:
    items, score = found.items, _score(found)
    expect(items.dtype == np.int32, f"items are {items.dtype}, expected int32.")
    expect(len(items) == rows and items.ndim == 2, f"items have shape {items.shape}, expected ({rows}, at most {k}).")
    expect(items.shape[1] <= k, f"{items.shape[1]} candidates a request, {k} were asked for.")
    expect(score.shape == items.shape, f"scores have shape {score.shape} and items {items.shape}.")
    expect(
        ((items >= 0) & (items < n_items)).all(),
        f"items range from {items.min(initial=0)} to {items.max(initial=0)}, of {n_items}.",
    )
    expect((np.diff(found.there.astype(np.int8), axis=1) <= 0).all(), "Padding (item 0) stands before a candidate.")
    expect((np.isnan(score) == ~found.there).all(), "A score is NaN exactly where there is no candidate (item 0).")
    expect(np.isfinite(score[found.there]).all(), "A candidate's score is not finite.")
    filled = np.where(found.there, score, -np.inf)
    expect((filled[:, :-1] >= filled[:, 1:]).all(), "Candidates are not best first.")
    for row, there in zip(items, found.there, strict=True):
        expect(len(set(row[there].tolist())) == there.sum(), f"A request is given an item twice: {row.tolist()}.")


def _allowed(retriever: Retriever, requests: Requests, n_items: int, k: int) -> None:
    """What is proposed is what was proposed without a limit, in its order, less what is not allowed."""
    everything = retriever.retrieve(requests, n_items, _EVERYTHING)
    _well_formed(everything, len(requests), n_items, n_items)
    some = np.arange(n_items) % 3 != 1
    # the best of each are not allowed, so that to cut before the mask leaves too few
    best = History(np.arange(len(requests) + 1) * 2, everything.items[:, :2].ravel(), np.zeros(2 * len(requests), np.int64))
    for what, allowed in {
        "Allowed.items": Allowed(items=some),
        "Allowed.blocked": Allowed(blocked=best),
        "Allowed.items and Allowed.blocked": Allowed(some, best),
        "Allowed.items with nothing allowed": Allowed(items=np.zeros(n_items, np.bool_)),
    }.items():
        wanted = [[item for item in row if item and _may(item, n, allowed)] for n, row in enumerate(everything.items.tolist())]
        for asked in (k, n_items):
            given = None if allowed.items is None else allowed.items.copy()
            found = retriever.retrieve(requests, asked, allowed)
            _well_formed(found, len(requests), asked, n_items)
            for row, proposed in enumerate(found.items):
                proposed, right = proposed[proposed > 0].tolist(), wanted[row][:asked]
                expect(proposed == right, f"{what}: asked for {asked}, request {row} is given {proposed}, expected {right}.")
            if allowed.items is not None and given is not None:
                expect_equal(allowed.items, given, f"{what} was changed by retrieve")


def _may(item: int, row: int, allowed: Allowed) -> bool:
    blocked = allowed.blocked
    inside = [] if blocked is None else blocked.items[blocked.offsets[row] : blocked.offsets[row + 1]].tolist()
    return (allowed.items is None or bool(allowed.items[item])) and item not in inside


def _any_size(retriever: Retriever, requests: Requests, n_items: int, k: int, found: Candidates) -> None:
    more = retriever.retrieve(requests, n_items + 7, _EVERYTHING)
    _well_formed(more, len(requests), n_items + 7, n_items)
    first = Candidates(more.items[:, :k], {name: score[:, :k] for name, score in more.scores.items()})
    _answers_alike(first, found, f"asked for {n_items + 7} instead of {k}")
    none = retriever.retrieve(requests.take(np.arange(0)), k, _EVERYTHING)
    expect(len(none) == 0, f"No request is given {len(none)} answers.")
    for row in range(len(requests)):
        alone = retriever.retrieve(requests.take(np.array([row])), k, _EVERYTHING)
        _answers_alike(alone, found.take(np.array([row])), f"request {row} asked alone")
    blocked = Allowed(blocked=requests.history)
    turned = np.arange(len(requests))[::-1]
    back = retriever.retrieve(requests.take(turned), k, blocked.take(turned))
    _answers_alike(back.take(turned), retriever.retrieve(requests, k, blocked), "asked in another order")


def _any_history(retriever: Retriever, requests: Requests, n_items: int, k: int) -> None:
    """Items without a meaning to this retriever: unknown, or of a catalogue that has grown since."""
    for items in ([0], [n_items], [n_items + 100, 0, 1], [1, 0], [1, n_items]):
        rows = len(requests)
        offsets = np.arange(rows + 1, dtype=np.int64) * len(items)
        history = History(offsets, np.tile(np.array(items, np.int32), rows), np.tile(np.arange(len(items), dtype=np.int64), rows))
        strange = replace(requests, history=history)
        found = retriever.retrieve(strange, k, Allowed(blocked=history))
        _well_formed(found, rows, k, n_items)
        if isinstance(retriever, Reasoned):
            _reasons(retriever, strange, found)


def _reasons(retriever: Reasoned, requests: Requests, found: Candidates) -> None:
    because = retriever.because(requests, found.items)
    expect(because.shape == found.items.shape, f"because has shape {because.shape}, the candidates have {found.items.shape}.")
    expect(not because[~found.there].any(), "because names a reason where there is no candidate.")
    for row, reasons in enumerate(because):
        past = requests.history.items[requests.history.offsets[row] : requests.history.offsets[row + 1]]
        strangers = set(reasons.tolist()) - {0, *past.tolist()}
        expect(not strangers, f"because names {strangers}, which request {row}'s history does not hold.")


def _answers_alike(found: Candidates, wanted: Candidates, when: str) -> None:
    """The same scores in float32's accuracy; another item only where its score is the other's."""
    expect_close(_score(found), _score(wanted), f"Other scores when {when}", relative=1e-4, absolute=1e-5)
    for row in range(len(wanted)):
        given, before = found.items[row].tolist(), wanted.items[row].tolist()
        message = f"Other items when {when}: request {row} is given {given} and was given {before}."
        now, then = _score(found)[row], _score(wanted)[row]
        if np.array_equal(now, then, equal_nan=True):
            expect(given == before, message)
        scores = dict(zip(before, then.tolist(), strict=True))
        lowest = float(np.nanmin(then)) if wanted.there[row].any() else np.nan
        alike = (
            np.isclose(s, scores.get(i, lowest), rtol=1e-4, atol=1e-5, equal_nan=True) for i, s in zip(given, now, strict=True)
        )
        expect(all(alike), message)


def _score(found: Candidates) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    expect(len(found.scores) == 1, f"A retriever scores under one stage name, this one under {list(found.scores)}.")
    return next(iter(found.scores.values()))
