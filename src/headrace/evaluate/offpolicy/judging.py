"""One call from logged pages and a target's log-probabilities to a table of estimates, and that table.

    estimates = judge(logged, target_log_prob, names=("sn_interaction", "interaction", "joint"))
    print(report(estimates, "clicks a page, explorer -> challenger"))

The log's own value stands first; versus=True estimates target - logger in the others, on the same rows.
"""

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from headrace.contracts.errors import ConfigError, listed, nearest
from headrace.contracts.requests import Float64
from headrace.evaluate.offpolicy import slates
from headrace.evaluate.offpolicy.estimate import Estimate, Interval, estimate
from headrace.evaluate.offpolicy.logged import LoggedSlates
from headrace.evaluate.offpolicy.support import Limits
from headrace.evaluate.offpolicy.terms import Terms, on_policy
from headrace.evaluate.rows import Row

ESTIMATORS: Mapping[str, Callable[[Float64, Float64, Float64], Terms]] = {
    "sn_interaction": slates.self_normalised_interaction,
    "interaction": slates.interaction,
    "joint": slates.joint,
}
"""Those that need nothing but a log and a policy. A model (cascade_dr) or marginals (independent) go through `estimate`."""


def judge(
    logged: LoggedSlates,
    target_log_prob: Float64,
    *,
    names: Sequence[str] = ("sn_interaction", "interaction", "joint"),
    versus: bool = False,
    how: Interval = "bootstrap",
    unsupported: float = math.nan,
    limits: Limits | None = None,
    resamples: int = 2000,
    seed: int = 0,
) -> list[Estimate]:
    """The log's own value first, then each estimator. how: normal or bootstrap; for bernstein see `lower_bound`."""
    shown = on_policy(logged.reward)
    found = [estimate(shown, logged.users, how=how, resamples=resamples, seed=seed)]
    for name in names:
        if name not in ESTIMATORS:
            raise ConfigError(f'"{name}" is not an estimator.{nearest(name, ESTIMATORS)} Estimators: {listed(ESTIMATORS)}.')
        terms = ESTIMATORS[name](logged.reward, logged.log_prob, target_log_prob)
        found.append(
            estimate(
                terms - shown if versus else terms, logged.users, how=how, unsupported=unsupported, limits=limits,
                refused=logged.refusal, resamples=resamples, seed=seed,
            )
        )  # fmt: skip
    return found


def lower_bound(
    logged: LoggedSlates,
    target_log_prob: Float64,
    *,
    most: float,
    reward_max: float,
    versus: bool = False,
    unsupported: float = math.nan,
    limits: Limits | None = None,
) -> Estimate:
    """A bound `lo` below the target's value a page (or its lead over the logger) with 97.5% confidence at any number of users.

    Rewards lie in 0 to reward_max a slot and depend on their slot and those above (RIPS); its weights are cut at `most`. Small
    `most` is narrow but gives value away, large is wide: choose it before looking, about sqrt(users) / slots.
    """
    slots = logged.items.shape[1]
    if (logged.reward < 0).any() or (logged.reward > reward_max).any():
        raise ConfigError(f"lower_bound: rewards reach outside 0 to {reward_max:g}; give the true maximum a slot.")
    terms, top = slates.interaction(logged.reward, logged.log_prob, target_log_prob, most=most), slots * reward_max
    bounds = (-top, most * top) if versus else (0.0, most * top)
    return estimate(
        terms - on_policy(logged.reward) if versus else terms, logged.users, how="bernstein", bounds=bounds,
        unsupported=unsupported, limits=limits, refused=logged.refusal,
    )  # fmt: skip


def rows(estimates: Sequence[Estimate], *, stage: str, method: str, split: str, metric: str) -> list[Row]:
    """For report.json, beside other rows: the metric's name says which estimator. A refused one has no value."""
    found = []
    for one in estimates:
        hi = one.hi if math.isfinite(one.hi) else math.nan  # a lower bound has no upper end
        found.append(Row(stage, method, split, "all", f"{metric} ({one.name})", one.value, one.lo, hi, one.n))
    return found


def report(estimates: Sequence[Estimate], title: str) -> str:
    """A table for the terminal; refused estimates say why below it."""
    lines = [["estimator", "value", "std error", "ESS", "max weight", "unsupported"]]
    for one in estimates:
        shown = "no evidence" if one.reason else f"{_number(one.value)} [{_number(one.lo)}, {_number(one.hi)}]"
        unsupported = "-" if math.isnan(one.unsupported_mass) else f"{one.unsupported_mass:.1%}"
        ess = "-" if math.isnan(one.ess) else f"{one.ess:,.0f}"
        lines.append([one.name, shown, _number(one.std_error), ess, _number(one.max_weight), unsupported])
    widths = [max(len(line[at]) for line in lines) for at in range(len(lines[0]))]
    counts = f"{title}, n = {estimates[0].n:,} users, {estimates[0].rows:,} rows" if estimates else title
    table = ["  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    return "\n".join([counts, *table, *(f"{one.name}: {one.reason}" for one in estimates if one.reason)])


def _number(value: float) -> str:
    return f"{value:.4g}" if np.isfinite(value) else "-" if np.isnan(value) else "inf"
