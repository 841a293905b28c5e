"""Calibration and bias of a cascade: what a pre-ranker learns from what its own cascade chose to show, and what mends it.

Stage 1 is fitted on one of several views of the same logs and read where it scores, on what is considered. Shown items were
picked by a stage that saw more, so at equal x1 they are better than the rest: a model of x1 alone that learns from them predicts
too much everywhere else. Stage 2's inputs explain the choice, so its predictions on what was considered are fair labels there.
The arms differ in nothing but rows, labels and weights of one logistic regression with quadratic features, which is convex.

| arm | rows | labels |
|---|---|---|
| impressions | shown | observed |
| joint | shown and considered, every row alike | observed; the teacher's prediction |
| joint_by_population | the same, both populations alike | the same |
| distilled | considered | the teacher's prediction |
| unshown_negative | considered | observed, 0 where not shown |
| random_exposure | as many uniform draws of the pool | observed: what only an unbiased log could teach |
| teacher | shown, with x2 | observed: not a stage 1, its own figures |

Paper: Liu et al., arXiv 2502.06834. Its tables were not reachable: analysis and numbers are ours (docs/papers/cascade_bias.md).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from headrace.contracts.config import as_dict, parse
from headrace.contracts.requests import Bool, Float64
from headrace.contracts.rng import rng
from headrace.recipes.cells import Figures, Simulated
from headrace.recipes.claims import Claim
from headrace.recipes.convex import logistic
from headrace.recipes.protocol import Budget
from headrace.world.selection import Selected, SelectionConfig, select, sigmoid, top

_MAIN = "two stages"
_PUBLISHED = (
    "pre-rankers over-predict on consideration traffic; joint distillation and semi-supervision mend it (abstract, no figures)"
)
CLAIM = Claim(
    says="Distilling the ranker on what was considered brings the pre-ranker's calibration there from over 1.5 to within 10%.",
    published=_PUBLISHED,
    metric="miscalibration, considered",
    better="joint",
    than="impressions",
    protocol=_MAIN,
    margin=float(np.log(1.5) - np.log(1.1)),
    less=True,
)
FURTHER = (
    Claim(
        says="It improves normalized entropy on what was considered by 0.05 and more.",
        published=_PUBLISHED,
        metric="NE, considered",
        better="joint",
        than="impressions",
        protocol=_MAIN,
        margin=0.05,
        less=True,
    ),
    Claim(
        says="It costs no more than 0.005 of normalized entropy on what was shown.",
        published=_PUBLISHED,
        metric="NE, shown",
        better="joint",
        than="impressions",
        protocol=_MAIN,
        margin=0.005,
        form="not worse",
        less=True,
    ),
    Claim(
        says="The bias is the log's: from as many uniformly exposed rows the same model is better calibrated.",
        published=_PUBLISHED,
        metric="miscalibration, considered",
        better="random_exposure",
        than="impressions",
        protocol=_MAIN,
        less=True,
    ),
)
ARMS = ("impressions", "joint", "joint_by_population", "distilled", "unshown_negative", "random_exposure", "teacher")
SETTINGS = {
    _MAIN: SelectionConfig(),
    "a blurred first stage": SelectionConfig(noise1=2.0),
    "a sharp first stage": SelectionConfig(noise1=0.5),
    "more is shown": SelectionConfig(shown=20),
    "2% explored": SelectionConfig(explore=0.02),
    "a blurred teacher": SelectionConfig(noise2=1.0),
}
METRICS = ("CR, considered", "CR, pool", "NE, considered", "NE, shown", "miscalibration, considered")


def work(budget: Budget) -> Simulated:
    chosen = SETTINGS if budget != "smoke" else {_MAIN: SelectionConfig(requests=200)}
    return Simulated(
        data="selection",
        arms={arm: {"arm": arm} for arm in ARMS},
        settings={name: as_dict(one) for name, one in chosen.items()},
        described={name: _described(one) for name, one in chosen.items()},
        seeds=2 if budget == "smoke" else 5 if budget == "cpu" else 50,
        metrics=METRICS,
        run=run,
    )


def run(setting: Mapping[str, Any], arm: Mapping[str, Any], seed: int) -> Figures:
    """One arm fitted on one seed's log and read on fresh requests, half as many."""
    settings = parse(SelectionConfig, setting, where="cascade_bias")
    log = select(settings, seed, "log")
    fresh = select(
        parse(SelectionConfig, {**setting, "requests": max(settings.requests // 2, 1)}, where="cascade_bias"), seed, "test"
    )
    predict = _fitted(arm["arm"], log, settings, seed)
    predicted = predict(fresh)
    ratio = {name: predicted[rows].sum() / fresh.p[rows].sum() for name, rows in _populations(fresh).items()}
    return {
        "CR, considered": np.array([ratio["considered"]]),
        "CR, pool": np.array([ratio["pool"]]),
        "NE, considered": np.array([_normalized_entropy(predicted[fresh.considered], fresh.label[fresh.considered])]),
        "NE, shown": np.array([_normalized_entropy(predicted[fresh.shown], fresh.label[fresh.shown])]),
        "miscalibration, considered": np.array([abs(np.log(ratio["considered"]))]),
    }


def _fitted(arm: str, log: Selected, settings: SelectionConfig, seed: int) -> Any:
    """A function of logs [R, N] -> predictions [R, N]."""
    x1, shown, considered = quadratic(log.x1), log.shown, log.considered
    label = log.label.astype(np.float64)
    both = quadratic(log.x1, log.x2)
    teacher = logistic(both[shown], label[shown])
    if arm == "teacher":
        return lambda seen: sigmoid(quadratic(seen.x1, seen.x2) @ teacher)
    soft = sigmoid(both[considered] @ teacher)
    match arm:
        case "impressions":
            rows, target, weight = x1[shown], label[shown], None
        case "distilled":
            rows, target, weight = x1[considered], soft, None
        case "joint" | "joint_by_population":
            rows, target = np.concatenate([x1[shown], x1[considered]]), np.concatenate([label[shown], soft])
            sizes = (int(shown.sum()), int(considered.sum()))
            weight = np.repeat([1 / size for size in sizes], sizes) if arm == "joint_by_population" else None
        case "unshown_negative":
            rows, target, weight = x1[considered], np.where(shown, label, 0.0)[considered], None
        case "random_exposure":
            drawn = top(rng(seed, "random exposure").random(log.x1.shape), settings.shown)
            rows, target, weight = x1[drawn], label[drawn], None
        case _:
            raise ValueError(f'"{arm}" is not an arm: {", ".join(ARMS)}.')
    fitted = logistic(rows, target, weight)
    return lambda seen: sigmoid(quadratic(seen.x1) @ fitted)


def quadratic(*columns: Float64) -> Float64:
    """1, each column, and every product of two of them, along a new last axis."""
    products = [one * other for place, one in enumerate(columns) for other in columns[place:]]
    return np.stack([np.ones_like(columns[0]), *columns, *products], axis=-1)


def _populations(log: Selected) -> Mapping[str, Bool]:
    return {"considered": log.considered, "pool": np.ones_like(log.considered)}


def _normalized_entropy(predicted: Float64, label: Bool) -> float:
    """Mean log loss over the entropy of the base rate."""
    rate = label.mean()
    loss = -np.where(label, np.log(predicted), np.log1p(-predicted)).mean()
    return float(loss / -(rate * np.log(rate) + (1 - rate) * np.log1p(-rate)))


def _described(settings: SelectionConfig) -> str:
    kept = f"{settings.considered} of {settings.candidates} considered, {settings.shown} shown, {settings.explore:.0%} explored"
    noise = f"noise {settings.noise1:g} and {settings.noise2:g}"
    return f"{settings.requests:,} requests, {kept}, {noise}; read on {settings.requests // 2:,} fresh ones"
