"""MultiBalance on two sets of tasks: as good as the best of ten fixed weightings, which cost ten runs, in one?

| arm | weights |
|---|---|
| multibalance | lengths levelled and one step towards MGDA's weights at each step, at the representation |
| multibalance_every_4 | the same, from a look at each fourth step alone |
| multibalance_theta | the same solver on gradients of all common parameters |
| multibalance_unaveraged | without running averages of lengths and products |
| fixed | the best of ten weightings on validation |
| equal | the plain sum |
| alone | a model a task |
| uncertainty, famo, marigold, mgda, pcgrad, nash_mtl | as docs/balancers.md has them; the last three on all common parameters |

Protocols, model and figures: `recipes.balancing`. Which of the ten weightings is best is chosen once, with seed 0.
Paper: MultiBalance (arXiv 2411.11871). Our reading: docs/papers/multibalance.md.
"""

from collections.abc import Mapping

from headrace.recipes import balancing
from headrace.recipes.balancing import CENSUS, MARIGOLD, MGDA, MULTIBALANCE, UNEVEN, WORLD, grid
from headrace.recipes.claims import Claim
from headrace.recipes.protocol import Budget
from headrace.recipes.trials import TrialArm, Trials

_PUBLISHED = "up to 0.738% of normalized entropy on ads and feeds models at unchanged throughput; grid search costs a run a point"
CLAIM = Claim(
    says="In one run MultiBalance loses at most 0.001 of mean NE against the best of ten fixed weightings, which take ten.",
    published=_PUBLISHED, metric="mean_ne", better="multibalance", than="fixed", protocol=CENSUS, margin=0.001,
    form="not worse", less=True,
)  # fmt: skip
FURTHER = (
    Claim(
        says="The same on the world's four tasks.",
        published=_PUBLISHED, metric="mean_ne", better="multibalance", than="fixed", protocol=WORLD, margin=0.001,
        form="not worse", less=True,
    ),
    Claim(
        says="The same from a look at each fourth step alone, on Census-Income.",
        published=_PUBLISHED, metric="mean_ne", better="multibalance_every_4", than="fixed", protocol=CENSUS, margin=0.001,
        form="not worse", less=True,
    ),
    Claim(
        says="With one loss times 100 its worst task has a lower NE than the plain sum's.",
        published="no figures: gradients of equal length do not hang on a loss's scale", metric="worst_ne",
        better="multibalance", than="equal", protocol=UNEVEN, less=True,
    ),
    Claim(
        says="With one loss times 100 its worst task loses at most 0.005 of NE against models of one task each.",
        published="no figures", metric="worst_ne", better="multibalance", than="alone", protocol=UNEVEN, margin=0.005,
        form="not worse", less=True,
    ),
    Claim(
        says="Where losses are of one scale it loses at most 0.001 of mean NE against the plain sum.",
        published=_PUBLISHED, metric="mean_ne", better="multibalance", than="equal", protocol=CENSUS, margin=0.001,
        form="not worse", less=True,
    ),
)  # fmt: skip
_OWN = MULTIBALANCE["balancer_settings"]
ARMS: Mapping[str, TrialArm] = {  # beside fixed
    "equal": TrialArm({"balancer": "equal"}),
    "alone": TrialArm({"alone": True}),
    "uncertainty": TrialArm({"balancer": "uncertainty"}),
    "famo": TrialArm({"balancer": "famo"}),
    "marigold": TrialArm(MARIGOLD),
    "multibalance": TrialArm(MULTIBALANCE),
    "multibalance_every_4": TrialArm({"balancer": "multibalance", "balancer_settings": {**_OWN, "every": 4}}),
    "multibalance_theta": TrialArm({"balancer": "multibalance", "balancer_settings": {**_OWN, "oracle": "theta"}}),
    "multibalance_unaveraged": TrialArm(
        {"balancer": "multibalance", "balancer_settings": {**_OWN, "decay": 0.0, "gram_decay": 0.0}}
    ),
    "mgda": TrialArm(MGDA),
    "pcgrad": TrialArm({"balancer": "pcgrad", "balancer_settings": {"oracle": "theta"}}),
    "nash_mtl": TrialArm({"balancer": "nash_mtl", "balancer_settings": {"oracle": "theta"}}),
}


NOT_IN_HALF_AN_HOUR = ("pcgrad", "nash_mtl", "uncertainty")
"""Arms that no claim is about: the cpu budget goes without them."""


def work(budget: Budget) -> Trials:
    arms = {arm: how for arm, how in ARMS.items() if budget != "cpu" or arm not in NOT_IN_HALF_AN_HOUR}
    return balancing.work({"fixed": TrialArm(trials=grid(budget)), **arms}, budget)
