"""Users' anchors as stages: a writer fitted on what was chosen before a cut, and what it writes of each user's past as of it.

    anchor writer (methods/prerank/anchors)  ->  anchors: codes [n_users, n, L], log_prob [n_users, n], as of the cut

Users who refuse training have none. What is written is kept in the store's folder by history (`anchors_kept`), so that a build
that was stopped goes on, and one whose log has grown writes of those alone whose past has. Nothing of it is read when serving.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from headrace.artifacts.arrays import load_arrays, save_arrays
from headrace.artifacts.store import Artifact, Draft
from headrace.build.components import component_class, load_component
from headrace.build.fit import Source, fit
from headrace.build.graph import Graph
from headrace.cascade.anchors_kept import written
from headrace.cascade.item_vectors import load_item_vectors, load_text_encoder, texts_at
from headrace.cascade.plan import trusted
from headrace.cascade.proposing import Proposing
from headrace.cascade.semantic_ids import load_semantic_ids
from headrace.data.log import Log
from headrace.encode.semantic_ids.anchors import Anchors
from headrace.methods.prerank.anchors import ANCHOR_WRITERS
from headrace.methods.prerank.anchors.writer import AnchorWriter, Asking

KEPT = ".anchors"
_FILE = "anchors.safetensors"
_REVISION = 1


def anchors_at(pipeline: Proposing, cut_us: int, n: int, writer: str, settings: Mapping[str, Any], *, where: str) -> Artifact:
    """Of a plan's users as of a cut, by a writer fitted before it. where: of its settings in the TOML."""
    fitted = anchor_writer(pipeline, cut_us, writer, settings, where=where)
    return anchors(pipeline.graph, fitted, pipeline.semantic_ids(cut_us), pipeline.log, cut_us, n, trusted_of(pipeline, writer))


def anchor_writer(
    pipeline: Proposing, cut_us: int, name: str, settings: Mapping[str, Any], *, where: str, ids_us: int | None = None
) -> Artifact:
    """ids_us: the cut of the semantic ids, where it is another."""
    ids = pipeline.semantic_ids(cut_us if ids_us is None else ids_us)
    vectors = pipeline.need_item_vectors("semantic ids")  # which the ids are made of, so that they need no place in the key
    loads: dict[str, Callable[[], Any]] = {
        "semantic_ids": lambda: load_semantic_ids(ids),
        "item_vectors": lambda: load_item_vectors(vectors),
        "item_texts": lambda: texts_at(pipeline.log, vectors.manifest.config["cut_us"])[0],
        "text_encoder": lambda: load_text_encoder(vectors),
    }
    kind = component_class(name, ANCHOR_WRITERS, where, trusted_of(pipeline, name))
    source = Source(
        interactions=lambda: pipeline.log.interactions(cut_us),
        inputs={"tables": pipeline.tables, "semantic_ids": ids},
        window={"cut_us": cut_us},
        needs=lambda: {need: loads[need]() for need in kind.needs if need in loads},
    )
    return fit(
        pipeline.graph, "anchor writer", name, settings, ANCHOR_WRITERS, source,
        seed=pipeline.plan.seed, where=where, trusted=trusted_of(pipeline, name),
    )  # fmt: skip


def trusted_of(pipeline: Proposing, writer: str) -> tuple[str, ...]:
    """The import paths that the user's own TOML names, this writer's among them."""
    return (*trusted(pipeline.plan), *([writer] if ":" in writer else []))


def anchors(
    graph: Graph, writer: Artifact, ids: Artifact, log: Log, cut_us: int, n: int, trusted: Iterable[str] = ()
) -> Artifact:
    """ids: those the writer was fitted on; the log's catalogue has to be theirs."""

    def make(draft: Draft) -> None:
        fitted, known = load_component(writer, ANCHOR_WRITERS, trusted), load_semantic_ids(ids, log)
        with graph.store.locked(f"{KEPT}-{writer.key}"):  # builds of two cuts may share a writer
            found = written(fitted, log.interactions(cut_us).history, n, graph.store.root / KEPT, graph.progress)
        made = Anchors(found.codes, found.log_prob, max(cut_us, fitted.cut_us) - 1, fitted.ids.fingerprint)
        made.check(known)
        save_arrays(draft.path / _FILE, made.arrays())
        draft.metrics = {"users": len(made) - 1, "with_anchors": found.users - found.without, "written": found.new}
        draft.metrics |= asked_of(fitted)

    name, config = writer.manifest.config["component"], {"cut_us": cut_us, "n": n}
    inputs = {"writer": writer, "semantic_ids": ids}
    return graph.stage("anchors", make, config=config, inputs=inputs, revision=_REVISION, personal=True, name=name)


def asked_of(writer: AnchorWriter) -> dict[str, Any]:
    """What a writer that asks a model was answered now; nothing of any other."""
    if not isinstance(writer, Asking):
        return {}
    tally = writer.tally
    return {"asked": tally.asked, "unparsed": tally.unparsed, "failed": tally.failed, "why": list(tally.reasons)}


def load_anchors(artifact: Artifact) -> Anchors:
    return Anchors.from_arrays(load_arrays(artifact.path / _FILE))
