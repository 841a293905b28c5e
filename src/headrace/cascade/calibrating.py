"""A ranker's calibration as an artifact of its own: fitted once on what stopped the ranker's training, found again after that.

Its manifest holds how far off the scores were there, before and after. These are figures of the rows that it was fitted on; what
it is worth on others stands among the rows on impressions, where a log has some.
"""

from collections.abc import Callable, Mapping
from typing import Any

from headrace.artifacts.arrays import load_arrays
from headrace.artifacts.store import Artifact, Draft
from headrace.build.components import FILE, save_component
from headrace.build.graph import Graph
from headrace.cascade.calibrated import Calibrated, known_of
from headrace.cascade.validation import logits_for, probabilities
from headrace.contracts.lists import CandidateLists
from headrace.contracts.requests import Float64
from headrace.evaluate.pointwise import calibration_ratio, ece, normalized_entropy

_REVISION = 1


def calibration(
    graph: Graph, config: Mapping[str, Any], inputs: Mapping[str, Artifact], scorer: Callable[[], Any],
    held: Callable[[], CandidateLists],
) -> Artifact:  # fmt: skip
    """config: "component", the calibrator's name, "by", a feature of users or None, and what the held rows hang on."""

    def make(draft: Draft) -> None:
        lists = held()
        logits, known = logits_for(scorer(), lists), known_of(lists)
        made = Calibrated.fitted(config["component"], config["by"], logits, lists)
        save_component(draft, made)
        labels, after = lists.label[known].astype(float), made(logits, lists.requests)
        draft.metrics = {
            "rows": int(known.sum()), "positive": int(labels.sum()),
            "before": _figures(labels, probabilities(logits[known])), "after": _figures(labels, probabilities(after[known])),
        }  # fmt: skip

    name = str(config["component"])
    return graph.stage("calibration", make, config=config, inputs=inputs, revision=_REVISION, personal=True, name=name)


def load_calibration(artifact: Artifact) -> Calibrated:
    config = artifact.manifest.config
    return Calibrated.from_arrays(config["component"], config["by"], load_arrays(artifact.path / FILE))


def calibration_told(artifact: Artifact) -> dict[str, str]:
    """For the report."""
    metrics, by = artifact.manifest.metrics, artifact.manifest.config["by"]
    moved = {name: f"{value:.4f} before, {metrics['after'][name]:.4f} after" for name, value in metrics["before"].items()}
    return {
        "by": artifact.manifest.config["component"] + (f", shifted by {by}" if by else ""),
        "fitted on": f"{metrics['rows']:,} rows that stopped the ranker's training, {metrics['positive']:,} positive; "
        "the figures here are of these",
        **moved,
    }


def _figures(labels: Float64, p: Float64) -> dict[str, float]:
    return {
        "normalized entropy": normalized_entropy(labels, p), "calibration ratio": calibration_ratio(labels, p),
        "ece": ece(labels, p),
    }  # fmt: skip
