"""[prerank] pseudo = "ukdsl": which labeler says what nobody saw, and what has to stand beside it in the plan."""

from collections.abc import Mapping
from typing import Any

from headrace.build.components import component_class
from headrace.cascade.sections import Prerank, Rank
from headrace.cascade.tasks_section import takes_several
from headrace.contracts.errors import ConfigError
from headrace.methods.prerank import PSEUDO_LABELERS


def labeler_class(name: str, where: str, trusted: tuple[str, ...] = ()) -> Any:
    return component_class(name, PSEUDO_LABELERS, f"{where} pseudo", trusted)


def check_pseudo(asked: Prerank | Rank, scorer: Any, settings: Any, where: str) -> None:
    """scorer, settings: the stage's own component, a class, and its config. The labeler's name and settings are right already."""
    if asked.learn_from != "impressions":
        raise ConfigError(
            f'{where}: pseudo = "{asked.pseudo}" labels what was not shown, and learn_from is "{asked.learn_from}", in which '
            'nothing was. Set learn_from = "impressions".'
        )
    if not hasattr(settings, "pseudo_weight"):
        raise ConfigError(
            f'{where}: "{asked.use}" learns from labels alone: it has no pseudo_weight. Name another, or leave pseudo out.'
        )
    if not scorer(settings).probabilities and not takes_several(scorer):
        raise ConfigError(
            f"{where}: pseudo-labels are probabilities, and the scores of {asked.use} order candidates alone. "
            'Set loss = "pointwise" in its section, or leave pseudo out.'
        )


def check_teacher(
    pseudo: str, labeler: Any, rank: Rank, ranker: Any, settings: Any, stage: str, where: str, item_vectors: bool
) -> None:
    """labeler: a class. ranker, settings: of [rank]. item_vectors: whether the plan has some."""
    needs = set(getattr(labeler, "needs", ()))
    if not item_vectors and needs & {"item_vectors", "semantic_ids", "anchors"}:
        raise ConfigError(
            f'{where}: pseudo = "{pseudo}" reads what items are, and they have no vectors. '
            'Set [features] item_vectors = "tfidf", or name another labeler.'
        )
    if "teacher" not in needs or hasattr(labeler, "own_teacher"):
        return
    if takes_several(ranker):
        if stage == "prerank":
            raise ConfigError(
                f'{where}: the teacher of pseudo = "{pseudo}" is the ranker, fitted on the pre-ranker\'s lists, which have one '
                f"task, and {rank.use} learns several. Name a ranker of one task, or another labeler."
            )
    elif not ranker(settings).probabilities:
        raise ConfigError(
            f'{where}: the teacher of pseudo = "{pseudo}" is the ranker, and the scores of {rank.use} order candidates alone. '
            f'Set loss = "pointwise" in [rank.{rank.use}].'
        )


