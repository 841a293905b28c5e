"""What every policy promises to whoever judges it from its logs: answers that can be drawn again, and exact propensities."""

from collections.abc import Iterator

import numpy as np

from headrace.contracts.requests import Bool, Candidates, Int32, Requests, Slates
from headrace.contracts.seams import Policy
from headrace.testing.expect import expect, expect_close, expect_equal

_OTHER_SEEDS = range(1, 21)


def check_policy(policy: Policy, requests: Requests, candidates: Candidates | None = None, *, n_items: int | None = None) -> None:
    """requests: some that leave a choice. candidates: for a policy that only fills pages; a cascade finds its own.

    n_items: the catalogue's size where candidates is None, to go through all that might be shown.
    """
    expect(isinstance(policy, Policy), f"{type(policy).__name__} lacks policy_id, deterministic, act or log_prob.")
    slates = policy.act(requests, candidates, seed=0)
    _well_formed(policy, slates, len(requests))
    for when, found in _asked_otherwise(policy, requests, candidates):
        expect_equal(found.items, slates.items, f"Another page when {when}")
        expect_close(found.log_prob, slates.log_prob, f"Another log_prob when {when}", relative=1e-12, absolute=1e-12)

    wanted = policy.log_prob(requests, slates, candidates)
    expect_close(wanted, slates.log_prob, "log_prob of its own slates is not what it logged", relative=1e-12, absolute=1e-12)
    others = [policy.act(requests, candidates, seed=seed) for seed in _OTHER_SEEDS]
    changed = any((other.items != slates.items).any() for other in others)
    if policy.deterministic:
        expect(not changed, "A deterministic policy shows another page under another seed.")
        expect((slates.log_prob == 0).all(), "A deterministic policy logs a propensity below 1.")
    else:
        expect(changed, f"{len(others)} other seeds change no page: mark the policy deterministic, or let it use the seed.")
        chance = (slates.log_prob < 0).any()
        expect(chance, "Every propensity is 1: mark the policy deterministic, or take requests that leave a choice.")
    _first_slot(policy, requests, candidates, slates, n_items)


def _well_formed(policy: Policy, slates: Slates, rows: int) -> None:
    items, logs = slates.items, slates.log_prob
    expect(items.dtype == np.int32, f"A page's items are {items.dtype}, expected int32.")
    expect(len(items) == rows and items.ndim == 2, f"Pages have shape {items.shape}, expected {rows} rows.")
    expect(
        logs.shape == items.shape and logs.dtype == np.float64,
        f"log_prob is {logs.dtype} {logs.shape}, expected float64 {items.shape}.",
    )
    expect(slates.policy_id == policy.policy_id, f'The page is signed "{slates.policy_id}" by the policy "{policy.policy_id}".')
    expect(slates.deterministic == policy.deterministic, "The page and the policy differ on being deterministic.")
    expect((items > 0).any(), "Every page is empty, so there is nothing to check.")
    expect((logs[items == 0] == 0).all(), "An empty slot has a log_prob: expected 0.")
    expect((np.isfinite(logs) & (logs <= 0)).all(), "A shown item's log_prob is not a finite number of at most 0.")
    for row in items:
        shown = row[row > 0].tolist()
        expect(len(set(shown)) == len(shown), f"An item stands on a page twice: {row.tolist()}.")


def _asked_otherwise(policy: Policy, requests: Requests, candidates: Candidates | None) -> Iterator[tuple[str, Slates]]:
    def act(rows: Int32) -> Slates:
        return policy.act(requests.take(rows), candidates.take(rows) if candidates is not None else None, seed=0)

    everything = np.arange(len(requests), dtype=np.int32)
    yield "asked again", act(everything)
    yield "asked in another order", act(everything[::-1]).take(everything[::-1])
    alone = [act(everything[row : row + 1]) for row in everything]
    items, logs = (np.concatenate([getattr(one, name) for one in alone]) for name in ("items", "log_prob"))
    yield "asked alone", Slates(items, logs, policy.policy_id, policy.deterministic)


def _first_slot(policy: Policy, requests: Requests, candidates: Candidates | None, slates: Slates, n_items: int | None) -> None:
    """Going through all that might stand there: the propensities sum to 1, and nothing else has one."""

    def chance(items: Int32) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        asked = Slates(items[:, None], np.zeros((len(items), 1)), policy.policy_id, policy.deterministic)
        return policy.log_prob(requests, asked, candidates)[:, 0]

    filled: Bool = slates.items[:, 0] > 0
    rows = len(requests)
    if candidates is not None:
        columns = [candidates.items[:, place] for place in range(candidates.items.shape[1])]
        stranger = np.full(rows, candidates.items.max(initial=0) + 1, np.int32)
    else:
        if n_items is None:
            raise AssertionError("Give n_items or candidates, so that all that might be shown can be gone through.")
        columns = [np.full(rows, item, np.int32) for item in range(1, n_items)]
        stranger = np.full(rows, n_items, np.int32)
    total = sum(np.where(items > 0, np.exp(chance(items)), 0.0) for items in columns)
    message = "The propensities of all that may stand in the first slot do not sum to 1"
    expect_close(np.asarray(total)[filled], np.ones(int(filled.sum())), message, relative=0, absolute=1e-9)
    expect((chance(stranger) == -np.inf).all(), "An item that is no candidate has a log_prob above -inf.")
