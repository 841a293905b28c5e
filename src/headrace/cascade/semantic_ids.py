"""Every item's semantic ids, as a stage: the quantiser's codes of all item vectors, and a level that tells equal ones apart.

The quantiser was fitted on items that somebody chose before its cut; all others, those of the future too, are encoded by it as it
stands. Kept beside the codes: what each item was when they were made, so that they are not read for another catalogue unnoticed.
"""

from collections.abc import Iterable

import numpy as np

from headrace.artifacts.arrays import load_arrays, save_arrays
from headrace.artifacts.store import Artifact, Draft
from headrace.build.components import load_component
from headrace.build.graph import Graph
from headrace.cascade.item_vectors import load_item_vectors, texts_at
from headrace.data.log import Log
from headrace.encode.semantic_ids import QUANTISERS
from headrace.encode.semantic_ids.catalogue import Marks, fingerprint_of, marks_of, refuse_changed
from headrace.encode.semantic_ids.ids import SemanticIds
from headrace.encode.semantic_ids.quantiser import coded

_FILE = "ids.safetensors"
REVISION = 1


def semantic_ids(
    graph: Graph, tables: Artifact, log: Log, quantiser: Artifact, vectors: Artifact, trusted: Iterable[str] = ()
) -> Artifact:
    """quantiser: of kind "ids". vectors: the item vectors it was fitted on."""

    def make(draft: Draft) -> None:
        fitted, marks = load_component(quantiser, QUANTISERS, trusted), _marks(log, vectors.manifest.config["cut_us"])
        ids = coded(fitted, load_item_vectors(vectors), items=fingerprint_of(marks))
        save_arrays(draft.path / _FILE, {**ids.arrays(), "marks": marks})
        draft.metrics = _metrics(ids, fitted.sizes[-1])

    inputs = {"tables": tables, "quantiser": quantiser, "item_vectors": vectors}
    name, config = quantiser.manifest.config["component"], {"texts_us": vectors.manifest.config["cut_us"]}
    return graph.stage("semantic ids", make, config=config, inputs=inputs, revision=REVISION, name=name)


def load_semantic_ids(artifact: Artifact, log: Log | None = None) -> SemanticIds:
    """log: whose catalogue they are to be read for. An item of theirs that has changed there is an error that names it; items
    that came since have no row yet (`headrace.encode.semantic_ids.quantiser.extended`)."""
    arrays = load_arrays(artifact.path / _FILE)
    if log is not None:
        refuse_changed(arrays["marks"], _marks(log, artifact.manifest.config["texts_us"]), log.items)
    return SemanticIds.from_arrays(arrays)


def _marks(log: Log, texts_us: int) -> Marks:
    return marks_of(log.items, texts_at(log, texts_us)[0])


def _metrics(ids: SemanticIds, symbols: int) -> dict[str, object]:
    """symbols: of the last level, had no more items shared their codes."""
    _, shared = np.unique(ids.codes[ids.there, :-1], axis=0, return_counts=True)
    return {
        "items": len(ids) - 1,
        "with_codes": int(ids.there.sum()),
        "sizes": list(ids.sizes),
        "codes_shared": round(float(shared[shared > 1].sum() / max(ids.there.sum(), 1)), 4),
        "most_items_on_a_code": int(shared.max(initial=0)),
        "last_level_grown": ids.sizes[-1] > symbols,
    }
