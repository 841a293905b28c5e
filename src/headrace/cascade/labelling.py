"""A stage's labeler as its plan asks for it: its teacher fitted and calibrated, whatever else it reads made, its labels written.

    prerank pseudo = "ukdsl"  ->  teacher (the ranker, on the pre-ranker's lists)  ->  calibration, if [rank] has one  ->  labels

All of it is made of what was known before the stage's window, and of the window itself: a teacher learns from its impressions,
and everything that is read of items is fitted before its start. Each part is an artifact of its own and found again.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from headrace.artifacts.store import Artifact
from headrace.build.components import described, load_component
from headrace.build.fit import Source, fit
from headrace.cascade.anchors import anchors_at, load_anchors
from headrace.cascade.calibrating import calibration, load_calibration
from headrace.cascade.plan import trusted
from headrace.cascade.proposing import Proposing
from headrace.cascade.pseudo_labels import Teacher, pseudo_labels
from headrace.cascade.pseudo_section import labeler_of
from headrace.contracts.lists import CandidateLists
from headrace.methods.rank import RANKERS

Lists = Callable[[], tuple[CandidateLists, CandidateLists]]
"""What a scorer is fitted on, and the newer lists that stop it."""


def labels_of_stage(pipeline: Proposing, stage: str, source: Source, lists: Lists, held: float) -> Artifact:
    """source: what the stage's scorer is fitted on, without labels. held: the share of its window that the newer lists are.

    A labeler that needs anchors has the settings `n`, `writer` and `writer_settings`, which say whose.
    """
    plan, name = pipeline.plan, getattr(pipeline.plan, stage).pseudo
    where = f"{plan.where} [{stage}]"
    kind, settings = labeler_of(plan, stage, trusted(plan))
    labeler = kind(settings, seed=plan.seed)
    inputs: dict[str, Artifact] = dict(source.inputs)
    loads: dict[str, Callable[[], Any]] = {}
    if "teacher" in labeler.needs:
        teacher, loads["teacher"] = _teacher(pipeline, stage, kind, source, lists, held)
        inputs |= teacher
    cut_us = source.window["cut_us"]
    if "anchors" in labeler.needs:
        asked = (settings.n, settings.writer, settings.writer_settings)
        inputs["anchors"] = anchors_at(pipeline, cut_us, *asked, where=f"{plan.where} [{stage}.{name}] writer_settings")
        loads["anchors"] = partial(load_anchors, inputs["anchors"])
    for need, (made, load) in pipeline.of_items(set(labeler.needs), name, cut_us).items():
        inputs[need], loads[need] = made, partial(load, made)
    # a labeler's revision counts as a component's: its labels change with it
    config = described(name, settings, held=held, seed=plan.seed, labeler=kind.revision)
    return pseudo_labels(
        pipeline.graph, labeler, config, inputs, lists, lambda: {need: load() for need, load in loads.items()}, where
    )  # fmt: skip


def _teacher(
    pipeline: Proposing, stage: str, labeler: Any, source: Source, lists: Lists, held: float
) -> tuple[Mapping[str, Artifact], Callable[[], Teacher]]:
    """Its artifacts, and what loads it. It is the plan's ranker, or the labeler's own, whose settings are then the labeler's."""
    plan, table = pipeline.plan, RANKERS
    if stage == "prerank" and plan.teaching is not None:
        plan = plan.teaching
    section, name = ("rank", plan.rank.use)
    if hasattr(labeler, "own_teacher"):
        section, name = stage, getattr(plan, stage).pseudo
        table = {name: labeler.own_teacher}
    fitted = fit(
        pipeline.graph, "teacher", name, plan.of(section, name), table, source, seed=plan.seed,
        where=f"{plan.where} [{section}.{name}]", trusted=trusted(plan),
    )  # fmt: skip
    made, asked = {"teacher": fitted}, plan.rank

    def load() -> Any:
        return load_component(fitted, table, trusted(plan))

    if asked.calibrate is not None:
        inputs = {"features": source.inputs["features"], "candidates": source.inputs["candidates"], "teacher": fitted}
        config = {"component": asked.calibrate, "by": asked.calibrate_by, "held": held, "seed": plan.seed}
        made["calibration"] = calibration(pipeline.graph, config, inputs, load, lambda: lists()[1])
    task = next(iter(plan.tasks_of(stage)), None)

    def loaded() -> Teacher:
        return Teacher(load(), task, load_calibration(made["calibration"]) if "calibration" in made else None)

    return made, loaded
