"""What a labeler says of the candidates nobody saw, as an artifact: a soft label and a weight for each of a stage's lists.

    lists of what was shown  ->  (a teacher, fitted and calibrated on them)  ->  labeler  ->  label, weight [R, C]

Only lists that a scorer is fitted on get some: the newer ones, which stop its training, stay labelled alone, so what stops it is
what was seen. The teacher is the plan's ranker on the same lists, or the labeler's own (`own_teacher`), and sees no label of a
later moment than the stage itself does. Nothing of this is read when serving.
Cost: the teacher's training, and its pass over R requests of C candidates. Shapes: [R, C] as the stage's lists have them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import nn

from headrace.artifacts.arrays import load_arrays, save_arrays
from headrace.artifacts.store import Artifact, Draft
from headrace.build.fit import Source
from headrace.build.graph import Graph
from headrace.cascade.calibrated import Calibrated, known_of
from headrace.cascade.scoring import all_logits_of
from headrace.cascade.validation import probabilities
from headrace.contracts.errors import DataError
from headrace.contracts.lists import CandidateLists
from headrace.contracts.requests import Candidates, Float32, Requests
from headrace.contracts.seams import PseudoLabels
from headrace.evaluate.pointwise import calibration_ratio, normalized_entropy

_AT_ONCE = 512
_FILE = "labels.safetensors"
_REVISION = 1


@dataclass(frozen=True)
class Teacher:
    """A fitted scorer that says how likely. task: of several, whose logit; else what it orders by."""

    scorer: Any
    task: str | None = None
    calibrated: Calibrated | None = None

    def __call__(self, requests: Requests, candidates: Candidates) -> Float32:
        """[R, C], NaN where there is no candidate."""
        logits = self.heads(requests, candidates)
        mine = logits[self.task] if self.task in logits else next(iter(logits.values()))
        return probabilities(mine if self.calibrated is None else self.calibrated(mine, requests)).astype(np.float32)

    def heads(self, requests: Requests, candidates: Candidates) -> dict[str, Float32]:
        """Every logit it has, by name, in bounded memory."""
        scorer = self.scorer.eval() if isinstance(self.scorer, nn.Module) else self.scorer
        rows = requests.chunks(_AT_ONCE) if len(requests) else [(slice(0, 0), requests)]
        parts = [all_logits_of(scorer, part, candidates.take(at)) for at, part in rows]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def pseudo_labels(
    graph: Graph, labeler: Any, config: Mapping[str, Any], inputs: Mapping[str, Artifact],
    lists: Callable[[], tuple[CandidateLists, CandidateLists]], needs: Callable[[], Mapping[str, Any]], where: str,
) -> Artifact:  # fmt: skip
    """labeler: not fitted. config: "component", its name, "settings" and what the lists hang on. lists: those to label, and the
    newer ones. needs: what it reads, by name."""
    name = str(config["component"])

    def make(draft: Draft) -> None:
        fits, held = lists()
        artifacts = needs()
        labeler.fit(fits, artifacts)
        found = []
        for rows, part in fits.requests.chunks(_AT_ONCE):
            unshown = fits.take(np.arange(len(fits))[rows]).unshown
            found.append(checked(labeler.label(part, unshown), part, unshown, f'{where}: the labeler "{name}"'))
            graph.progress(f"{name} to {where}", rows.stop, len(fits))
        made = PseudoLabels(np.concatenate([one.label for one in found]), np.concatenate([one.weight for one in found]))
        draft.metrics = {"requests": len(fits), "unshown": int(fits.unshown.there.sum()), **_figures(made, where, name)}
        if "teacher" in artifacts:
            draft.metrics |= {"teacher": _of_teacher(artifacts["teacher"], held)}
        save_arrays(draft.path / _FILE, {"label": made.label, "weight": made.weight})

    return graph.stage("pseudo labels", make, config=config, inputs=inputs, revision=_REVISION, personal=True, name=name)


def with_labels(source: Source, labels: Artifact) -> Source:
    """A scorer's source, its lists with what the labeler says."""

    def needs() -> Mapping[str, Any]:
        given, arrays = source.needs(), load_arrays(labels.path / _FILE)
        pseudo = PseudoLabels(arrays["label"], arrays["weight"])
        return {**given, "candidate_lists": replace(given["candidate_lists"], pseudo=pseudo)}

    return replace(source, inputs={**source.inputs, "pseudo": labels}, needs=needs)


def checked(labels: PseudoLabels, requests: Requests, unshown: Candidates, who: str) -> PseudoLabels:
    """DataError that names the labeler and the request whose label can't be one."""
    shape, there = unshown.items.shape, unshown.there
    for what, values in {"labels": labels.label, "weights": labels.weight}.items():
        if values.shape != shape:
            raise DataError(f"{who} gave {what} of shape {values.shape}: expected {shape}, one a candidate.")
    wrong = {
        "a label": (~((labels.label >= 0) & (labels.label <= 1)) & there, labels.label, "a number in [0, 1]"),
        "a weight": (~((labels.weight >= 0) & (labels.weight < np.inf)) & there, labels.weight, "a number from 0 up"),
        "a weight beside its candidates": ((labels.weight != 0) & ~there, labels.weight, "0 where nothing is unshown"),
    }
    for what, (bad, values, wanted) in wrong.items():
        if bad.any():
            row, place = np.argwhere(bad)[0]
            said = f"{what} of {values[row, place]:g} to request {requests.ids[row]}, candidate {place}"
            raise DataError(f"{who} gave {said}: expected {wanted}.")
    return labels


def _figures(made: PseudoLabels, where: str, name: str) -> dict[str, float]:
    kept = made.weight > 0
    weight, label = made.weight[kept].astype(float), made.label[kept].astype(float)
    if not len(weight):
        raise DataError(
            f'{where}: the labeler "{name}" gave no candidate of {len(made.label):,} requests a weight above 0, so nothing would '
            "be learned from it. See that more is retrieved than was shown ([retrieve] k) and that the labeler's settings leave "
            "some of it in; or leave pseudo out."
        )
    return {
        "labelled": len(weight), "mean": float((weight * label).sum() / weight.sum()), "mean weight": float(weight.mean()),
        "effective": float(weight.sum() ** 2 / (weight**2).sum()),
    }  # fmt: skip


def _of_teacher(teacher: Any, held: CandidateLists) -> dict[str, float]:
    """On what stopped its training; nothing where the labels there are all alike."""
    known = known_of(held)
    labels = held.label[known].astype(float)
    if not 0 < labels.sum() < len(labels):
        return {}
    p = teacher(held.requests, held.candidates)[known].astype(float)
    return {"normalized entropy": normalized_entropy(labels, p), "calibration ratio": calibration_ratio(labels, p)}


def pseudo_labels_told(artifact: Artifact) -> dict[str, str]:
    """For the report."""
    metrics, config = artifact.manifest.metrics, artifact.manifest.config
    share = metrics["labelled"] / max(metrics["unshown"], 1)
    said = {
        "by": str(config["component"]),
        "labelled": f"{metrics['labelled']:,} of {metrics['unshown']:,} unshown candidates ({share:.1%}) of "
        f"{metrics['requests']:,} requests",
        "mean label": f"{metrics['mean']:.4f}, weighted",
        "mean weight": f"{metrics['mean weight']:.3f}; they count as {metrics['effective']:,.0f} of equal weight",
    }
    if metrics.get("teacher"):
        figures = ", ".join(f"{name} {value:.4f}" for name, value in metrics["teacher"].items())
        said["teacher"] = f"{figures}, on what stopped its training"
    return said
