"""Several tasks on one shared bottom, weighed one way or the other: what the recipes of balancers have in common.

| protocol | learned from | tasks |
|---|---|---|
| census, 3 tasks | rows of Census-Income | income, never_married, college |
| census, one loss x100 | the same | the same, the loss of never_married times 100 |
| world, 4 tasks | impressions of a made-up world without position bias | click, long_dwell, purchase, satisfied |

All arms have the same model, first weights, rows and order of a seed, the same Adam at rate 1e-3 (balancers' weights sum to about
the number of tasks, so no arm searches its rate), and keep the epoch of the least mean normalised entropy (NE) on validation. A
seed draws census's training rows and the whole world; census's test rows never change.

| figure | one a | |
|---|---|---|
| ne_TASK | block of the test | cross-entropy / the entropy of the task's rate on the whole test |
| mean_ne, worst_ne | block | mean over tasks; that of the task whose NE is highest |
| auc_TASK, mean_auc | run | |

Blocks are fixed: of census's test rows as they come, of the world's users by their number. In the world the labels of the test
are true chances, so its figures are free of a draw's luck. What a step costs is not measured here but in `benchmarks.balancers`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from pathlib import Path
from typing import Any

import numpy as np

from headrace.contracts.config import as_dict, config, digest, parse
from headrace.contracts.requests import Float64
from headrace.evaluate.pointwise import entropy
from headrace.recipes.cells import Figures
from headrace.recipes.logs import against_truth
from headrace.recipes.logs.exposure import TASKS as WORLD_TASKS
from headrace.recipes.logs.exposure import ExposureConfig
from headrace.recipes.protocol import Budget
from headrace.recipes.rows.census import TASKS as CENSUS_TASKS
from headrace.recipes.rows.census import digest_of_census
from headrace.recipes.task_problems import Pairs, Problem, ProblemConfig, problem_of
from headrace.recipes.trials import VALID, TrialArm, Trials
from headrace.train.trainer import train
from headrace.world.settings import WorldConfig

CENSUS, UNEVEN, WORLD = "census, 3 tasks", "census, one loss x100", "world, 4 tasks"
LOUD = "never_married"
SHOWN = (
    "mean_ne", "worst_ne", "mean_auc", *(f"{kind}_{task}" for kind in ("ne", "auc") for task in (*CENSUS_TASKS, *WORLD_TASKS)),
)  # fmt: skip
WARMUP = 100
"""Steps in which MultiBalance's shares stay even: a run here is one or two thousand, and its default is for longer ones."""
MULTIBALANCE: Mapping[str, Any] = {"balancer": "multibalance", "balancer_settings": {"warmup": WARMUP}}
MGDA: Mapping[str, Any] = {"balancer": "mgda", "balancer_settings": {"oracle": "theta"}}
MARIGOLD: Mapping[str, Any] = {"balancer": "marigold", "balancer_settings": {"every": 4}}
GRID = 10
"""Fixed weightings that are tried: a grid of one factor a task would be of hundreds."""


@config
class Asked:
    """What a protocol is beside the sizes. times: loss -> what multiplies it. factors: of the grid's weightings."""

    data: str
    times: Mapping[str, float] = field(default_factory=dict)
    factors: tuple[float, ...] = (3.0, 1 / 3, 10.0, 0.1)


SMOKE = ProblemConfig(
    rows=0, dim=2, bottom=(8,), hidden=(4,), batch=200, epochs=(1, 1), blocks=20,
    exposure=ExposureConfig(
        world=WorldConfig(
            users=120, items=300, topics=8, dim=8, nearest=30, popular=15, uniform=5, considered=15, position_bias=0.0,
            random_share=0.1, ctr=0.3,
        ),
        warm_days=1, window_days=3, test_days=1, drawn=40,
    ),
    valid_days=1,
)  # fmt: skip
PROTOCOLS = {
    CENSUS: Asked(data="census"),
    UNEVEN: Asked(data="census", times={LOUD: 100.0}, factors=(0.01, 0.1, 3.0)),
    WORLD: Asked(data="world"),
}


def work(arms: Mapping[str, TrialArm], budget: Budget) -> Trials:
    sizes = SMOKE if budget == "smoke" else ProblemConfig()

    def opened(folder: Path) -> str:
        return digest({"table": digest_of_census() if sizes.rows != 0 else "made-up", "world": as_dict(sizes.exposure)})

    return Trials(
        data="census-income and a made-up world" if sizes.rows != 0 else "made-up",
        arms=arms,
        settings={name: {"asked": as_dict(asked), "sizes": as_dict(sizes)} for name, asked in PROTOCOLS.items()},
        described={name: _described(asked, sizes) for name, asked in PROTOCOLS.items()},
        seeds={"smoke": 2, "cpu": 5, "full": 10}[budget],
        metrics=SHOWN,
        run=lambda setting, own, seed: run(sizes, parse(Asked, setting["asked"], where="balancing"), own, seed),
        open_data=opened,
        unit="blocks of the test",
    )


def grid(budget: Budget) -> list[Mapping[str, Any]]:
    """Trials of fixed weights, ten but for a smoke run."""
    return [{"weighting": number} for number in range(3 if budget == "smoke" else GRID)]


def weighting(number: int, tasks: Sequence[str], factors: Sequence[float]) -> dict[str, float]:
    """The first is even; in the others one task has one of the factors times the others' weight. All sum to the tasks' number."""
    changed = [(task, factor) for factor in factors for task in tasks]
    raw = np.ones(len(tasks))
    if number:
        task, factor = changed[number - 1]
        raw[list(tasks).index(task)] = factor
    return dict(zip(tasks, (raw * len(tasks) / raw.sum()).tolist(), strict=True))


def run(sizes: ProblemConfig, asked: Asked, own: Mapping[str, Any], seed: int) -> Figures:
    """own: balancer, balancer_settings; or weighting, of the grid; or alone: each task is trained without the others."""
    problem = problem_of(asked.data, sizes, seed)
    tasks = problem.tasks
    valid, tested = _alone(problem, asked, seed) if own.get("alone") else _together(problem, asked, own, seed)
    each = {task: block_entropies(tested, task, sizes.blocks) for task in tasks}
    aucs = {task: against_truth.auc(tested.predicted[task], tested.true[task]) for task in tasks}
    worst = max(tasks, key=lambda task: float(each[task].mean()))
    return {
        VALID: np.array([np.mean([_entropy_of(valid, task) for task in tasks])]),
        "mean_ne": np.mean([each[task] for task in tasks], axis=0),
        "worst_ne": each[worst],
        "mean_auc": np.array([np.mean(list(aucs.values()))]),
        **{f"ne_{task}": values for task, values in each.items()},
        **{f"auc_{task}": np.array([value]) for task, value in aucs.items()},
    }


def block_entropies(pairs: Pairs, task: str, blocks: int) -> Float64:
    """[blocks]; their mean is the NE of all rows, however many a block has."""
    p = pairs.true[task]
    sums = np.bincount(pairs.block, _losses(pairs, task), minlength=blocks)
    return np.asarray(sums * blocks / (len(p) * entropy(float(p.mean()))))


def _together(problem: Problem, asked: Asked, own: Mapping[str, Any], seed: int) -> tuple[Pairs, Pairs]:
    how = dict(own)
    if "weighting" in own:
        weights = weighting(how.pop("weighting"), problem.tasks, asked.factors)
        how |= {"balancer": "fixed", "balancer_settings": {"weights": weights}}
    return _trained(problem, asked, how, seed, problem.tasks)


def _alone(problem: Problem, asked: Asked, seed: int) -> tuple[Pairs, Pairs]:
    """A model a task, in which the others weigh nothing."""
    found = {}
    for task in problem.tasks:
        weights = {one: float(one == task) for one in problem.tasks}
        how = {"balancer": "fixed", "balancer_settings": {"weights": weights}}
        found[task] = _trained(problem, asked, how, seed, [task])
    first = found[problem.tasks[0]]
    valid, tested = (
        replace(first[part], predicted={task: pair[part].predicted[task] for task, pair in found.items()}) for part in (0, 1)
    )
    return valid, tested


def _trained(problem: Problem, asked: Asked, how: Mapping[str, Any], seed: int, judged: Sequence[str]) -> tuple[Pairs, Pairs]:
    """judged: the tasks whose entropies on validation an epoch is kept by."""
    learned = problem.learned(seed)
    learned = replace(learned, weights={**learned.weights, **asked.times})
    model = learned.module

    def value() -> float:
        found = problem.validated(model)
        return -float(np.mean([_entropy_of(found, task) for task in judged]))

    train(learned, replace(problem.train, **how), seed=seed, validate=value, artifacts=problem.artifacts)
    return problem.validated(model), problem.tested(model)


def _entropy_of(pairs: Pairs, task: str) -> float:
    return float(_losses(pairs, task).mean() / entropy(float(pairs.true[task].mean())))


def _losses(pairs: Pairs, task: str) -> Float64:
    p, q = pairs.true[task], np.clip(pairs.predicted[task], 1e-12, 1 - 1e-12)
    return np.asarray(-p * np.log(q) - (1 - p) * np.log1p(-q))


def _described(asked: Asked, sizes: ProblemConfig) -> str:
    if asked.data == "world":
        learned = sizes.exposure.window_days - sizes.valid_days
        days = f"{learned} days of impressions, tested on true chances of {sizes.exposure.test_days} later days"
        return f"{days}; the ranker shared_bottom, {sizes.epochs[1]} epochs"
    rows = "a made-up table" if sizes.rows == 0 else f"Census-Income, {'all' if sizes.rows is None else sizes.rows} training rows"
    loud = "".join(f", the loss of {task} times {times:g}" for task, times in asked.times.items())
    return f"{rows}{loud}; shared bottom {sizes.bottom[0]}, {sizes.epochs[0]} epochs"
