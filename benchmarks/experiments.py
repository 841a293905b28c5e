"""Do the experiments keep their promises? Error rates over A/A runs, power over A/B runs, each with its binomial interval.

Twenty thousand runs a row (10,000 through the tables, 2,000 at every unit), 1,000 units an arm, heavy-tailed engagement
(`simulation.engagement`). `kept`: the promised rate lies in the 99% Clopper-Pearson interval of the rate that was seen; for
power, that the rate is within 3 points of the plan's. A row that is named BROKEN is there to be wrong.
"""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
from scipy.stats import beta

from benchmarks.record import record
from headrace.contracts.rng import rng
from headrace.evaluate.bootstrap import holm
from headrace.flywheel.experiment.always_valid import multiplier
from headrace.flywheel.experiment.analysis import analyse
from headrace.flywheel.experiment.assignment import Arm
from headrace.flywheel.experiment.designs import Design, inflation
from headrace.flywheel.experiment.exposures import exposures_of, sample_ratio
from headrace.flywheel.experiment.metrics import Sample
from headrace.flywheel.experiment.normal import quantile, two_sided
from headrace.flywheel.experiment.plan import ExperimentPlan, Metric
from headrace.flywheel.experiment.power import Population, Sizing
from headrace.flywheel.experiment.record import start
from headrace.flywheel.experiment.sequential import equal, obrien_fleming, spending
from headrace.flywheel.experiment.simulation import Arms, engagement

RUNS, BATCH, UNITS, ALPHA = 20_000, 1000, 1000, 0.05
Z = float(quantile(1 - ALPHA / 2))
UNEVEN = [0.1, 0.15, 0.5, 1.0]


def batches(seed: int) -> Iterator[Arms]:
    for batch in range(RUNS // BATCH):
        yield engagement(BATCH, UNITS, seed=seed * 1000 + batch)


def row(hits: int, runs: int, promised: float, at_most: bool = False) -> dict[str, Any]:
    lo = beta.ppf(0.005, hits, runs - hits + 1) if hits else 0.0
    hi = beta.ppf(0.995, hits + 1, runs - hits) if hits < runs else 1.0
    holds = lo <= promised if at_most else lo <= promised <= hi
    return {"rate": round(hits / runs, 4), "lo": round(float(lo), 4), "hi": round(float(hi), 4), "runs": runs,
            "promised": f"{'<= ' if at_most else ''}{promised:g}", "kept": bool(holds)}  # fmt: skip


def shifted(arms: Arms, gain: float, engaged_only: bool = False) -> Arms:
    """An effect of exactly `gain`: on every unit, or on those that engage."""
    t = arms.treatment
    return Arms(Sample(t.y + gain * ((t.y > 0) if engaged_only else 1.0), t.x, t.c), arms.control)


def crossed(z: np.ndarray[Any, Any], bound: np.ndarray[Any, Any]) -> int:
    return int((np.abs(z) >= bound).any(-1).sum())


def false_positives() -> dict[str, Any]:
    times = equal(10)
    looks = [round(UNITS * t) for t in times]
    uneven = [round(UNITS * t) for t in UNEVEN]
    always = multiplier(np.array(looks) * 2, 2 * UNITS, ALPHA)
    hits: dict[str, int] = {}

    def add(name: str, count: int) -> None:
        hits[name] = hits.get(name, 0) + count

    for batch, arms in enumerate(batches(1)):
        for name, made in (
            ("mean", arms.as_mean()), ("mean, CUPED", arms), ("breadth", arms.as_breadth()),
            ("depth (delta method)", arms.as_depth()), ("depth, CUPED", arms.as_depth(cuped=True)),
        ):  # fmt: skip
            add(f"fixed horizon, {name}", crossed(made.effect().z[:, None], np.array([Z])))
        marks = [
            rng(batch, "marks", side).random(arm.y.shape) < 0.5 for side, arm in (("t", arms.treatment), ("c", arms.control))
        ]
        ratio = Arms(*(Sample(arm.y * mark, arm.y) for arm, mark in zip((arms.treatment, arms.control), marks, strict=True)))
        add("fixed horizon, ratio of events (delta method)", crossed(ratio.effect().z[:, None], np.array([Z])))
        events = [arm.y.sum(-1) for arm in (arms.treatment, arms.control)]
        shares = [ratio.treatment.value(), ratio.control.value()]
        se = np.sqrt(sum(p * (1 - p) / n for p, n in zip(shares, events, strict=True)))
        add("BROKEN: the same ratio, each event a unit", crossed(((shares[0] - shares[1]) / se)[:, None], np.array([Z])))
        z = arms.as_mean().z(looks)
        add("BROKEN: naive peeking, 10 looks", crossed(z, np.full(10, Z)))
        add("O'Brien-Fleming, 10 looks", crossed(z, obrien_fleming(10)))
        add("spending, 10 looks", crossed(z, spending(times)))
        add("spending, looks at 10, 15, 50, 100%", crossed(arms.as_mean().z(uneven), spending(UNEVEN)))
        add("confidence sequence, 10 looks", crossed(z, always))
        guarded = shifted(arms.as_mean(), -0.1).effect()
        add("guardrail passes though worse by its margin", int((guarded.difference - Z * guarded.se > -0.1).sum()))
        three = np.stack([arms.as_breadth().effect().z, arms.effect().z, ratio.effect().z])
        add("Holm over three primaries, any", sum(bool((holm(p) < ALPHA).any()) for p in two_sided(three).T))
    rows = {name: row(count, RUNS, ALPHA) for name, count in hits.items()}
    for name in ("confidence sequence, 10 looks", "Holm over three primaries, any"):
        rows[name] = row(hits[name], RUNS, ALPHA, at_most=True)
    rows["guardrail passes though worse by its margin"] = row(
        hits["guardrail passes though worse by its margin"], RUNS, ALPHA / 2
    )
    rows["confidence sequence, every unit from 200 to 50,000"] = row(endless(2000), 2000, ALPHA, at_most=True)
    counts = rng(0, "ratio").binomial(UNITS * 20, 0.5, RUNS)
    plan = shop()
    wrong = sum(sample_ratio({"current": int(n), "new": UNITS * 20 - int(n)}, plan) < 0.001 for n in counts)
    rows["sample ratio check blocks"] = row(wrong, RUNS, 0.001)
    return rows


def endless(runs: int) -> int:
    """Runs of normal units that a sequence tuned for 1,000 ever leaves, between 200 and 50,000, looked at after each."""
    left, at, total = np.zeros(runs, bool), 0, np.zeros(runs)
    stream = rng(0, "endless")
    while at < 50_000:
        walks = total[:, None] + np.cumsum(stream.standard_normal((runs, 1000)), axis=1)
        units = np.arange(at + 1, at + 1001)
        outside = np.abs(walks) / np.sqrt(units) >= multiplier(units, 1000, ALPHA)
        left |= outside[:, units >= 200].any(1)
        at, total = at + 1000, walks[:, -1]
    return int(left.sum())


def shop() -> ExperimentPlan:
    clicks = Metric(name="clicks", kind="mean", column="clicks", cuped=True)
    return ExperimentPlan(
        experiment="aa", control="current", units=2, arms=(Arm(name="current"), Arm(name="new")), primary=(clicks,),
        window_days=7.0, covariate_days=7.0,
    )  # fmt: skip


def through_the_tables(runs: int) -> dict[str, Any]:
    """A/A from assignment to decision: ids hashed, exposures and outcomes as tables, CUPED, the plan sealed."""
    first, wrong = datetime(2026, 1, 1, tzinfo=UTC), 0
    units = engagement(runs, UNITS, seed=77).control
    assert units.c is not None
    ids = [f"u{number}" for number in range(UNITS)]
    for run in range(runs):
        plan = ExperimentPlan(**{**vars(shop()), "salt": f"run {run}"})
        rows = [
            pl.DataFrame({"unit_id": ids, "at": [first + timedelta(days=day)] * UNITS, "clicks": values[run]})
            for day, values in ((-1, units.c), (1, units.y), (7, 0 * units.y))
        ]
        found = analyse(plan, start(plan, first), exposures_of(plan, ids, first), pl.concat(rows))
        wrong += found.results[0].standing != "unclear"
    return row(wrong, runs, ALPHA)


def power() -> dict[str, Any]:
    wide = engagement(1, 1_000_000, seed=9).control
    assert wide.c is not None
    y, c = wide.y[0], wide.c[0]
    engaged = (y > 0).astype(float)
    mean = Population.of_mean(y.mean(), y.std())
    depth = Population.of_ratio(y.mean(), engaged.mean(), y.var(), engaged.var(), float(np.cov(y, engaged)[0, 1]))
    rho = float(np.corrcoef(y, c)[0, 1])
    rows: dict[str, Any] = {}

    def run(
        name: str, promised: float, sized: Sizing, population: Population, make: Callable[[Arms, float], Arms],
        design: Design = "fixed", looks: int = 1,
    ) -> None:  # fmt: skip
        gain, times = sized.effect(population, UNITS), equal(looks)
        ends = [round(UNITS * t) for t in times]
        bound = {
            "fixed": lambda: np.array([Z]), "group_sequential": lambda: spending(times),
            "confidence_sequence": lambda: multiplier(np.array(ends) * 2, 2 * UNITS, ALPHA),
        }[design]()  # fmt: skip
        seen, used = 0, 0.0
        for arms in batches(2):
            out = np.abs(make(arms, gain).z(ends)) >= bound
            seen += int(out.any(-1).sum())
            used += float(np.where(out.any(-1), np.array(times)[out.argmax(-1)], 1.0).sum())
        found = row(seen, RUNS, promised)
        found |= {"kept": abs(found["rate"] - promised) <= 0.03, "mean_share_of_its_units": round(used / RUNS, 3)}
        found["mean_share_of_fixed_units"] = round(used / RUNS * sized.inflation, 3)
        rows[name] = found

    def plain(arms: Arms, gain: float) -> Arms:
        return shifted(arms.as_mean(), gain)

    for aim in (0.8, 0.9):
        run(f"fixed horizon, mean, {aim:g}", aim, Sizing(power=aim), mean, plain)
    run("fixed horizon, mean, CUPED, 0.8", 0.8, Sizing(rho=rho), mean, shifted)
    run("fixed horizon, depth, 0.8", 0.8, Sizing(), depth, lambda arms, gain: shifted(arms, gain, True).as_depth())
    run("fixed horizon, breadth 0.5, 0.8", 0.8, Sizing(), Population.of_proportion(0.5), more_engage)
    designs: tuple[Design, ...] = ("group_sequential", "confidence_sequence")
    for design in designs:
        for looks in (5, 10):
            sized = Sizing(inflation=inflation(design, ALPHA, 0.8, looks))
            run(f"{design}, mean, {looks} looks, 0.8", 0.8, sized, mean, plain, design, looks)
    return rows


def more_engage(arms: Arms, gain: float) -> Arms:
    """Breadth raised by `gain`: of those who did not engage, so many do."""
    idle = arms.treatment.y == 0
    turned = idle & (rng(0, "turned").random(idle.shape) < gain / 0.5)
    return Arms(Sample(arms.treatment.y + turned), arms.control).as_breadth()


def main() -> None:
    began = time.process_time()
    figures: dict[str, Any] = {f"A/A, {name}": found for name, found in false_positives().items()}
    figures["A/A, through the tables: hash, exposures, outcomes, CUPED, decision"] = through_the_tables(10_000)
    figures |= {f"A/B, {name}": found for name, found in power().items()}
    record("experiments", {**figures, "cpu_s": round(time.process_time() - began, 1)})


if __name__ == "__main__":
    main()
