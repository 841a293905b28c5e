"""Off-policy estimators: bias, error and coverage where the truth is known; beside obp; on the Open Bandit logs; speed.

    python -m benchmarks.offpolicy [coverage|obp|open-bandit|speed ...] [--runs 400]

coverage: fresh logs of each problem (`benchmarks.ope.sources`); bias and RMSE against the truth, how often 95% intervals hold it
(normal, and bootstrap over users with 400 resamples), how often the bernstein lower bound lies below it, and the share of logs
that would be refused at the default limits (figures are of all logs, limits off). obp: the same synthetic rows judged by the peer
and by us, largest difference. open-bandit: see `benchmarks.ope.open_bandit`. speed: a million pages of four slots, CPU seconds.
Each part writes a result of its own; docs/offpolicy.md takes its tables from them: python -m benchmarks.ope.page.
"""

import argparse
import os

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}  # read when numpy loads

import resource
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.ope import obp, open_bandit
from benchmarks.ope.sources import Problem, problems
from benchmarks.record import record
from headrace.contracts.rng import rng
from headrace.evaluate.offpolicy.estimate import Interval, estimate
from headrace.evaluate.offpolicy.slates import cascade_dr, interaction, joint, self_normalised_interaction
from headrace.evaluate.offpolicy.support import NO_LIMITS

RESAMPLES = 400


def covered(problem: Problem, runs: int) -> list[dict[str, Any]]:
    """A row an estimator."""
    found: dict[str, list[tuple[float, ...]]] = {}
    for run in range(runs):
        terms, users = problem.draw(run)
        for one in terms:
            normal = estimate(one, users, how="normal", limits=NO_LIMITS)
            drawn = estimate(one, users, limits=NO_LIMITS, resamples=RESAMPLES, seed=run)
            judged = estimate(one, users, how="normal", unsupported=problem.unsupported)
            below = np.nan
            if one.name in problem.bounds:
                bound = estimate(one, users, how="bernstein", bounds=problem.bounds[one.name], limits=NO_LIMITS)
                below = float(bound.lo <= problem.truth)
            found.setdefault(one.name, []).append((
                normal.value, normal.std_error, normal.lo <= problem.truth <= normal.hi, drawn.lo <= problem.truth <= drawn.hi,
                below, bool(judged.reason), normal.ess,
            ))  # fmt: skip
    return [row_of(problem, name, np.array(values, np.float64)) for name, values in found.items()]


def row_of(problem: Problem, name: str, values: Any) -> dict[str, Any]:
    away = values[:, 0] - problem.truth
    return {
        "problem": problem.name, "says": problem.says, "rows": problem.rows, "truth": _r(problem.truth), "estimator": name,
        "bias": _r(away.mean()), "bias_error": _r(away.std() / np.sqrt(len(away))),
        "rmse": _r(np.sqrt((away**2).mean())),
        "std_error/spread": _r(values[:, 1].mean() / max(away.std(), 1e-12), 3),
        "normal": _r(values[:, 2].mean(), 4), "bootstrap": _r(values[:, 3].mean(), 4),
        "bernstein": None if np.isnan(values[0, 4]) else _r(values[:, 4].mean(), 4), "refused": _r(values[:, 5].mean(), 4),
        "ess": None if np.isnan(values[0, 6]) else round(float(values[:, 6].mean())),
    }  # fmt: skip


def _r(value: Any, digits: int = 5) -> float:
    return round(float(value), digits)


def coverage(runs: int, names: list[str]) -> dict[str, Any]:
    table = [row for problem in problems(names) for row in covered(problem, runs)]
    return {"runs": runs, "resamples": RESAMPLES, "table": table}


def speed(rows: int = 1_000_000, slots: int = 4, users: int = 100_000) -> dict[str, Any]:
    """Median CPU seconds of five for the terms and of each interval."""
    draw = rng(0, "speed")
    logged, target = (np.log(draw.uniform(0.05, 1, (rows, slots))) for _ in range(2))
    target = np.minimum(target, logged + 0.5)
    reward, q, v = (draw.random((rows, slots)) < 0.05).astype(np.float64), draw.random((rows, slots)), draw.random((rows, slots))
    whose = draw.integers(0, users, rows)
    made: dict[str, Callable[[], Any]] = {
        "joint": lambda: joint(reward, logged, target), "interaction": lambda: interaction(reward, logged, target),
        "sn_interaction": lambda: self_normalised_interaction(reward, logged, target),
        "cascade_dr": lambda: cascade_dr(reward, logged, target, q, v),
    }  # fmt: skip
    figures: dict[str, Any] = {"rows": rows, "slots": slots, "users": users}
    for name, make in made.items():
        figures[f"{name}, terms, cpu_s"] = _median_s(make)
    terms = made["sn_interaction"]()
    hows: tuple[tuple[Interval, int], ...] = (("normal", 5), ("bootstrap", 1))
    for how, times in hows:

        def judged(how: Interval = how) -> Any:
            return estimate(terms, whose, how=how, limits=NO_LIMITS, resamples=2000)

        figures[f"sn_interaction, {how} interval, cpu_s"] = _median_s(judged, times)
    figures["peak memory, MiB"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    return figures


def _median_s(do: Callable[[], Any], times: int = 5) -> float:
    taken = []
    for _ in range(times):
        started = time.process_time()
        do()
        taken.append(time.process_time() - started)
    return round(statistics.median(taken), 3)


PARTS = ("coverage", "obp", "open-bandit", "speed")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], default=PARTS)
    parser.add_argument("--runs", type=int, default=400)
    parser.add_argument("--problems", nargs="*", default=[])
    given = parser.parse_args()
    for part in given.parts:
        made = {
            "coverage": lambda: coverage(given.runs, given.problems), "obp": obp.compared, "open-bandit": open_bandit.judged,
            "speed": speed,
        }[part]  # fmt: skip
        record(f"offpolicy-{part}", made())


if __name__ == "__main__":
    main()
