"""Every item's words as one text, as a stage: for rankers that read tokens rather than a vector that was made of them.

As of a cut, as `item_vectors.texts_at` has it: title, text and categories, a line each.
"""

import json

from headrace.artifacts.store import Artifact, Draft
from headrace.build.graph import Graph
from headrace.cascade.item_vectors import texts_at
from headrace.data.log import Log

_FILE = "texts.json"
REVISION = 1


def item_texts(graph: Graph, tables: Artifact, log: Log, cut_us: int) -> Artifact:
    def make(draft: Draft) -> None:
        texts, _ = texts_at(log, cut_us)
        (draft.path / _FILE).write_text(json.dumps(texts, ensure_ascii=False), encoding="utf-8")
        draft.metrics = {"items": len(texts) - 1, "with_text": sum(map(bool, texts))}

    config = {"cut_us": cut_us, "clock": log.clock}
    return graph.stage("item texts", make, config=config, inputs={"tables": tables}, revision=REVISION)


def load_item_texts(artifact: Artifact) -> tuple[str, ...]:
    """By item number, "" for none."""
    return tuple(json.loads((artifact.path / _FILE).read_text(encoding="utf-8")))
