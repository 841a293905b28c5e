"""Users' anchors for a window of days: codes of the items, a writer that learned before it, anchors anew every few days of it.

Codes are by residual k-means on the items' vectors, of items that were chosen before the window, the writer learns from the
positives before it, and what it writes for a stretch of days it reads from histories as they stood when the stretch began. So
nothing that is labelled was foreseen by what came after it; a test moves what came later and finds the same anchors.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from headrace.contracts.config import parse
from headrace.encode.semantic_ids.anchors import Anchors
from headrace.encode.semantic_ids.ids import SemanticIds
from headrace.encode.semantic_ids.quantiser import coded
from headrace.encode.semantic_ids.residual_kmeans import ResidualKMeans, ResidualKMeansConfig
from headrace.methods.prerank.anchors.causal import CausalConfig, CausalWriter
from headrace.nn.seeded import seeded
from headrace.recipes.logs.exposure import Exposure
from headrace.train.trainer import train
from headrace.world.settings import DAY_US


@dataclass(frozen=True, eq=False)
class Foreseen:
    """stretches: of each few days of the window, the anchors that its requests may read."""

    ids: SemanticIds
    stretches: tuple[Anchors, ...]


def foreseen(log: Exposure, codes: Mapping[str, Any], writer: Mapping[str, Any], n: int, days: int, seed: int) -> Foreseen:
    """codes, writer: settings of residual k-means and of the writer. n: anchors a user, written every so many days."""
    interactions, vectors = log.interactions, log.features.item_vectors
    quantiser = ResidualKMeans(parse(ResidualKMeansConfig, codes, where="codes"), seed=seed)
    quantiser.fit(interactions, {"item_vectors": vectors})
    ids = coded(quantiser, vectors)
    settings, artifacts = parse(CausalConfig, writer, where="writer"), {"semantic_ids": ids}
    with seeded(seed, "writer"):
        made = CausalWriter(settings, seed=seed)
        learned = made.learn(interactions, artifacts)
    train(learned, settings.train, seed=seed, name="writer", artifacts=artifacts)
    last_us, written = int(log.lists.requests.at_us.max()), []
    for start_us in range(interactions.cut_us, last_us + 1, days * DAY_US):
        history = log.past(start_us)
        found, log_prob = made.write(history, n)
        written.append(Anchors(found, log_prob, int(history.at_us.max()), ids.fingerprint))
    return Foreseen(ids, tuple(written))
