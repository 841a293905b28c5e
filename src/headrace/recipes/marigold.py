"""MARIGOLD against the method whose gradients it does without: MGDA's quality from one forward at each fourth step?

| arm | weights |
|---|---|
| marigold | from how each loss changed over the optimizer's own step, read at each fourth |
| marigold_each_step | the same, read at each step |
| marigold_gradient | the same at each fourth step, from a short way along the gradient and back |
| mgda | MGDA on gradients of all common parameters, brought to one length |
| famo | from how far each loss fell: the nearest rival, at a forward a step |
| equal, multibalance | the plain sum; `recipes.multibalance` |

Protocols, model and figures: `recipes.balancing`. What a step costs is measured in `benchmarks.balancers`.
Paper: MARIGOLD (arXiv 2603.07389). Our reading: docs/papers/marigold.md.
"""

from collections.abc import Mapping

from headrace.recipes import balancing
from headrace.recipes.balancing import CENSUS, MARIGOLD, MGDA, MULTIBALANCE, UNEVEN, WORLD
from headrace.recipes.claims import Claim
from headrace.recipes.protocol import Budget
from headrace.recipes.trials import TrialArm, Trials

_PUBLISHED = "the quality of balancing by all tasks' gradients, none of which is formed (abstract, no figures)"
CLAIM = Claim(
    says="Looking at each fourth step MARIGOLD loses at most 0.001 of mean NE against MGDA on all parameters' gradients.",
    published=_PUBLISHED, metric="mean_ne", better="marigold", than="mgda", protocol=CENSUS, margin=0.001, form="not worse",
    less=True,
)  # fmt: skip
FURTHER = (
    Claim(
        says="The same on the world's four tasks.",
        published=_PUBLISHED, metric="mean_ne", better="marigold", than="mgda", protocol=WORLD, margin=0.001, form="not worse",
        less=True,
    ),
    Claim(
        says="It has a lower mean NE than FAMO, which reads the same two forwards and is simpler.",
        published="not compared, as far as we know: were they equal, FAMO would do", metric="mean_ne", better="marigold",
        than="famo", protocol=CENSUS, less=True,
    ),
    Claim(
        says="With one loss times 100 its worst task has a lower NE than the plain sum's.",
        published="no figures", metric="worst_ne", better="marigold", than="equal", protocol=UNEVEN, less=True,
    ),
)  # fmt: skip
ARMS: Mapping[str, TrialArm] = {
    "equal": TrialArm({"balancer": "equal"}),
    "famo": TrialArm({"balancer": "famo"}),
    "marigold": TrialArm(MARIGOLD),
    "marigold_each_step": TrialArm({"balancer": "marigold"}),
    "marigold_gradient": TrialArm({"balancer": "marigold", "balancer_settings": {"every": 4, "along": "gradient"}}),
    "mgda": TrialArm(MGDA),
    "multibalance": TrialArm(MULTIBALANCE),
}


def work(budget: Budget) -> Trials:
    return balancing.work(ARMS, budget)
