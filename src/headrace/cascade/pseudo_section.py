"""[prerank] pseudo = "ukdsl": which labeler says what nobody saw, and what has to stand beside it in the plan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from headrace.build.components import component_class, settings_of
from headrace.cascade.sections import Prerank, Rank
from headrace.cascade.tasks_section import takes_several
from headrace.contracts.config import as_dict
from headrace.contracts.errors import ConfigError
from headrace.methods.prerank import PSEUDO_LABELERS
from headrace.methods.rank import RANKERS

if TYPE_CHECKING:
    from headrace.cascade.plan import Plan

_OF_ITEMS = {"item_vectors", "semantic_ids", "anchors"}


def asked_of(asked: Prerank | Rank) -> dict[str, Any]:
    """A stage's settings as a key has them: without a labeler, what they were before there were any."""
    settings = as_dict(asked)
    return {name: value for name, value in settings.items() if name != "pseudo" or value is not None}


def labeler_of(plan: Plan, stage: str, trusted: tuple[str, ...]) -> tuple[Any, Any]:
    """The class of a stage's labeler, and its settings."""
    name = getattr(plan, stage).pseudo
    kind = component_class(name, PSEUDO_LABELERS, f"{plan.where} [{stage}]", trusted)
    return kind, settings_of(kind, plan.of(stage, name), f"{plan.where} [{stage}.{name}]")


def check_pseudo(plan: Plan, stage: str, table: Mapping[str, str], trusted: tuple[str, ...]) -> None:
    """What has to stand beside it does. table: the stage's components."""
    asked, where = getattr(plan, stage), f"{plan.where} [{stage}]"
    if asked.use is None:
        raise ConfigError(f'{where}: pseudo = "{asked.pseudo}" is for a pre-ranker to learn, and use is left out. Name one.')
    if asked.learn_from != "impressions":
        raise ConfigError(
            f'{where}: pseudo = "{asked.pseudo}" labels what was not shown, and learn_from = "{asked.learn_from}" does not look '
            'at what was. Set learn_from = "impressions".'
        )
    scorer = component_class(asked.use, table, where, trusted)
    settings = settings_of(scorer, plan.of(stage, asked.use), where)
    if not hasattr(settings, "pseudo_weight"):
        raise ConfigError(
            f'{where}: "{asked.use}" learns from labels alone, so pseudo = "{asked.pseudo}" would say nothing to it: it has no '
            "pseudo_weight. Name another, or leave pseudo out."
        )
    if not takes_several(scorer) and not scorer(settings).probabilities:
        raise ConfigError(
            f"{where}: pseudo-labels are probabilities, and the scores of {asked.use} order candidates alone. "
            f'Set loss = "pointwise" in [{stage}.{asked.use}], or leave pseudo out.'
        )
    kind, chosen = labeler_of(plan, stage, trusted)
    needs = set(kind(chosen).needs)
    if plan.features.item_vectors is None and needs & _OF_ITEMS:
        raise ConfigError(
            f'{where}: pseudo = "{asked.pseudo}" reads what items are, and they have no vectors. '
            'Set [features] item_vectors = "tfidf", or name another labeler.'
        )
    if "teacher" in needs and not hasattr(kind, "own_teacher"):
        _check_teacher(plan, stage, trusted)


def _check_teacher(plan: Plan, stage: str, trusted: tuple[str, ...]) -> None:
    """The ranker can teach: it says how likely, and of the same thing."""
    asked, rank, where = getattr(plan, stage), plan.rank, f"{plan.where} [{stage}]"
    ranker = component_class(rank.use, RANKERS, f"{plan.where} [rank]", trusted)
    if takes_several(ranker):
        if stage == "prerank":
            raise ConfigError(
                f'{where}: the teacher of pseudo = "{asked.pseudo}" is the ranker, fitted on the pre-ranker\'s lists, which have '
                f"one task, and {rank.use} learns several. Name a ranker of one task, or a labeler without a teacher."
            )
    elif not getattr(ranker(settings_of(ranker, plan.of("rank", rank.use), where)), "probabilities", False):
        raise ConfigError(
            f'{where}: the teacher of pseudo = "{asked.pseudo}" is the ranker, and the scores of {rank.use} order candidates '
            f'alone. Set loss = "pointwise" in [rank.{rank.use}].'
        )
