"""How a ranker of candidate lists is trained: on the order of a request's candidates, or on each candidate's probability.

The settings are each ranker's own, under its name. A perturbation regulariser (`lspr`, `scr`) stands around the pointwise loss.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, Lt

from headrace.contracts.config import config
from headrace.contracts.errors import ConfigError, listed
from headrace.contracts.interactions import Interactions
from headrace.contracts.seams import Learned, Objective
from headrace.contracts.training import TrainConfig
from headrace.nn.list_scorer import ListScorer
from headrace.nn.perturb import Perturbation, Place
from headrace.nn.tables import TableConfig
from headrace.objectives.listwise import ListwiseChoice
from headrace.objectives.lspr import Lspr, LsprByGroup
from headrace.objectives.pointwise import PointwiseChoice
from headrace.objectives.pseudo import PSEUDO, PseudoChoice
from headrace.objectives.scr import CONSISTENCY, Distance, Scr

TASK = "choice"


@config
class Perturb:
    """by: which regulariser. at: what is moved. noise: in root mean squares of it. mask: share of codes hidden, at the input.

    alpha, groups: lspr's share of the perturbed loss, and the user feature whose groups it is balanced over. weight, distance,
    stop_gradient: scr's.
    """

    by: Literal["lspr", "scr"] = "lspr"
    at: Place = "embedding"
    noise: Annotated[float, Ge(0)] = 0.05
    mask: Annotated[float, Ge(0), Lt(1)] = 0.0
    alpha: Annotated[float, Ge(0), Le(1)] = 0.3
    groups: str | None = None
    weight: Annotated[float, Gt(0)] = 0.05
    distance: Distance = "logit_mse"
    stop_gradient: bool = False

    def __post_init__(self) -> None:
        if self.mask and self.at != "input":
            raise ConfigError(f'perturb: mask = {self.mask:g} hides codes of the input, and at is "{self.at}". Set at = "input".')
        if self.groups is not None and self.by != "lspr":
            raise ConfigError(
                f'perturb: groups are balanced by lspr, and by is "{self.by}". Set by = "lspr", or leave groups out.'
            )


@config
class ChoiceConfig:
    width: Annotated[int, Gt(1)] = 64
    """Candidates a request while training: all that were chosen and a draw of the others."""
    batch_size: Annotated[int, Gt(0)] = 64
    loss: Literal["listwise", "pointwise"] = "listwise"
    """pointwise: binary cross-entropy on whole lists, so that sigmoid(logit) is a probability; `width` has no say."""
    perturb: Perturb | None = None
    table: TableConfig | None = None
    """Of items' embeddings, where they don't have a row each."""
    pseudo_weight: Annotated[float, Gt(0)] = 0.3
    """λ of what a labeler says of candidates nobody saw, where its stage has one."""
    unshown: Annotated[int, Gt(0)] = 16
    """Of them, so many a request, drawn afresh each epoch."""
    train: TrainConfig = TrainConfig(epochs=10, patience=2, weight_decay=1e-4)

    def __post_init__(self) -> None:
        if self.perturb is not None and self.loss != "pointwise":
            raise ConfigError(f'perturb stands around the pointwise loss, and loss is "{self.loss}". Set loss = "pointwise".')


def learned_choice(scorer: ListScorer, interactions: Interactions, artifacts: Mapping[str, Any]) -> Learned:
    """scorer: its config is a `ChoiceConfig`, its logits are of TASK. Its parameters are made."""
    settings: ChoiceConfig = scorer.config
    pseudo = artifacts["candidate_lists"].pseudo is not None
    if not scorer.probabilities:
        if pseudo:
            raise ConfigError('pseudo-labels are probabilities, and loss is "listwise". Set loss = "pointwise".')
        return Learned(scorer, [ListwiseChoice(TASK)], scorer.set_up(interactions, artifacts), needs=scorer.needs)
    batches = scorer.set_up(interactions, artifacts, whole=True, unshown=settings.unshown if pseudo else 0)
    base = PseudoChoice(TASK) if pseudo else PointwiseChoice(TASK)
    perturb, weights = settings.perturb, {PSEUDO: settings.pseudo_weight} if pseudo else {}
    if perturb is None:
        return Learned(scorer, [base], batches, needs=scorer.needs, weights=weights)
    if perturb.groups is not None and perturb.groups not in scorer.schema:
        features = [name for name in scorer.schema if name != "history"]
        raise ConfigError(
            f'perturb: groups = "{perturb.groups}" is no feature of users. They have: {listed(features) or "none"}.'
        )
    if pseudo and perturb.groups is not None:
        raise ConfigError("perturb: groups are of labels that were seen, and this stage has pseudo-labels too. Leave groups out.")
    weights |= {CONSISTENCY: perturb.weight} if perturb.by == "scr" else {}
    return Learned(scorer, [_around(base, perturb)], batches, needs=scorer.needs, weights=weights)


def _around(base: Objective, perturb: Perturb) -> Objective:
    how = Perturbation(perturb.at, perturb.noise, perturb.mask)
    if perturb.by == "scr":
        return Scr(base, TASK, how, distance=perturb.distance, stop_gradient=perturb.stop_gradient)
    if perturb.groups is not None:
        return LsprByGroup(TASK, perturb.groups, how, perturb.alpha)
    return Lspr(base, how, perturb.alpha)
