"""The Open Bandit logs: what Bernoulli Thompson sampling (bts) earned, from the random policy's log alone, and the reverse.

Clicks an impression, by campaign (10,000 impressions a policy). The truth at hand is each policy's own mean, itself of 35 to 70
clicks; `difference` is estimate - own mean, with both logs resampled, so 0 inside its interval is all that agreement can mean.

random -> bts needs the chance that bts shows an item the random policy showed. Its log gives only those of what it showed itself,
and they move as it learns. Two stand-ins, both without context, as bts is:
    shown   how often bts showed the item at that position in its own log: unbiased for its chance over the week, with noise that
            the interval holds (bts rows are resampled too). The mean logged propensity of an item's rows would not be: rows are
            logged in proportion to it, so its mean is E p² / E p.
    prior   the posterior bts began the week with (in the peer's package), ranked in 100,000 draws, as the publishers do
bts -> random needs nothing: the target shows every item alike, and each bts row carries its own propensity.
Each impression is a row of its own with its position; the publisher names neither users nor pages, so rows count as independent.
"""

import re
from functools import cache
from typing import Any

import numpy as np

from headrace.contracts.requests import Float64
from headrace.contracts.rng import rng
from headrace.data import datasets
from headrace.data.datasets import fetching
from headrace.data.datasets.open_bandit import CAMPAIGNS, POLICIES, WHEEL, WHEEL_SHA256
from headrace.data.vocabulary import Vocabulary
from headrace.evaluate.offpolicy.estimate import Estimate, estimate
from headrace.evaluate.offpolicy.logged import LoggedSlates, policies_of, rewarded_by_name
from headrace.evaluate.offpolicy.single import ips, snips
from headrace.evaluate.offpolicy.support import NO_LIMITS
from headrace.evaluate.offpolicy.terms import Terms, on_policy

POSITIONS, RESAMPLES, DRAWS = 3, 2000, 100_000
FOREVER = 2**62


class Log:
    """Columns of one policy's impressions in one campaign, [n]: action from 0, place from 0, propensity, reward."""

    def __init__(self, logged: LoggedSlates, items: Vocabulary, campaign: str):
        rows, self.place = np.nonzero(logged.items)
        names = items.decode(logged.items[rows, self.place])
        self.action = np.array([int(str(name).removeprefix(f"{campaign}-")) for name in names])
        self.propensity, self.reward = logged.propensity[rows, self.place], logged.reward[rows, self.place]

    def __len__(self) -> int:
        return len(self.action)


@cache
def _priors() -> str:
    path = "obp/policy/conf/prior_bts.yaml"
    return fetching.unzipped(fetching.wheel(WHEEL, WHEEL_SHA256), {path: path}, WHEEL)[path].decode()


def judged() -> dict[str, Any]:
    tables = datasets.get("open-bandit")
    shown = rewarded_by_name(tables, "click", FOREVER)
    users, items = Vocabulary(shown["user_id"].unique()), Vocabulary(shown["item_id"].unique())
    name = shown["request_id"].str.split("-")
    named = shown.with_columns(policy=name.list.get(0), campaign=name.list.get(1))
    whose, found = policies_of(tables), []
    for campaign in CAMPAIGNS:
        logs = {}
        for policy in POLICIES:
            rows = named.filter(policy=policy, campaign=campaign)
            logs[policy] = Log(LoggedSlates.from_rows(rows, users.encode, items.encode, policies=whose), items, campaign)
        found += _campaign(campaign, logs["random"], logs["bts"])
    return {"impressions a log": len(logs["random"]), "resamples": RESAMPLES, "table": found}


def _campaign(campaign: str, uniform: Log, bts: Log) -> list[dict[str, Any]]:
    actions = int(uniform.action.max()) + 1
    frequency, began = _frequency(bts, actions), prior(campaign)
    rows = []
    for name, chances in (("shown", frequency), ("prior", began)):
        target = chances[uniform.place, uniform.action]
        for make in (ips, snips):
            terms = make(uniform.reward, uniform.propensity, target)
            apart = _difference(uniform, bts, make, None if name == "shown" else chances, actions)
            rows.append(_row(campaign, f"random -> bts ({name})", terms, bts, apart))
    flat = np.full(len(bts), 1.0 / actions)
    for make in (ips, snips):
        apart = _difference(bts, uniform, make, np.full((POSITIONS, actions), 1.0 / actions), actions)
        rows.append(_row(campaign, "bts -> random", make(bts.reward, bts.propensity, flat), uniform, apart))
    half = 0.5 * np.abs(frequency - began).sum(1)
    return [{**row, "shown from prior, total variation": np.round(half, 3).tolist()} for row in rows]


def _row(campaign: str, direction: str, terms: Terms, other: Log, apart: Float64) -> dict[str, Any]:
    one, truth = estimate(terms, resamples=RESAMPLES), estimate(on_policy(other.reward), resamples=RESAMPLES)
    free = estimate(terms, resamples=RESAMPLES, limits=NO_LIMITS)
    lo, hi = np.nanquantile(apart, [0.025, 0.975])
    return {
        "campaign": campaign, "direction": direction, "estimator": terms.name, **_figures("", free),
        "ess": round(free.ess), "max_weight": round(free.max_weight, 2), "refused": one.reason, **_figures("own ", truth),
        "difference": round(free.value - truth.value, 5),
        "difference_lo": round(float(lo), 5), "difference_hi": round(float(hi), 5),
    }  # fmt: skip


def _figures(prefix: str, one: Estimate) -> dict[str, float]:
    return {f"{prefix}{name}": round(getattr(one, name), 5) for name in ("value", "lo", "hi")}


def _difference(log: Log, other: Log, make: Any, chances: Float64 | None, actions: int) -> Float64:
    """Resampled estimate - own mean, [B]. chances: None where they are the other log's frequencies, counted in each resample."""
    draw, found = rng(0, "open bandit"), np.empty(RESAMPLES)
    for at in range(RESAMPLES):
        mine, theirs = draw.integers(0, len(log), len(log)), draw.integers(0, len(other), len(other))
        target = _frequency(other, actions, theirs) if chances is None else chances
        terms = make(log.reward[mine], log.propensity[mine], target[log.place[mine], log.action[mine]])
        found[at] = terms.value - other.reward[theirs].mean()
    return found


def _frequency(log: Log, actions: int, rows: Any = slice(None)) -> Float64:
    """[positions, actions], each position's share of each item."""
    counts = np.bincount(log.place[rows] * actions + log.action[rows], minlength=POSITIONS * actions).reshape(POSITIONS, actions)
    return np.asarray(counts / counts.sum(1, keepdims=True))


def prior(campaign: str) -> Float64:
    """[positions, actions]: how often each item is ranked there in draws from the Beta posteriors bts started with."""
    part = re.search(rf"^{campaign}:\n((?: .*\n?)*)", _priors(), re.MULTILINE)
    assert part is not None
    alpha, beta = (np.array(re.findall(r"- ([\d.]+)", half), np.float64) for half in part[1].split("beta:"))
    ranked = np.argsort(-rng(0, "prior", campaign).beta(alpha, beta, (DRAWS, len(alpha))), axis=1)[:, :POSITIONS]
    return np.stack([np.bincount(ranked[:, place], minlength=len(alpha)) / DRAWS for place in range(POSITIONS)])
