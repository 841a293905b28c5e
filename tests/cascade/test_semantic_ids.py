"""Semantic ids as a stage of a plan: of what was chosen before a cut, for those who read them, found again."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from headrace.artifacts.store import Artifact
from headrace.build.components import load_component
from headrace.cascade.item_vectors import load_item_vectors
from headrace.cascade.pipeline import Pipeline
from headrace.cascade.run import planned
from headrace.cascade.semantic_ids import load_semantic_ids
from headrace.contracts.errors import ConfigError, DataError
from headrace.data.log import Log
from headrace.encode.semantic_ids import QUANTISERS
from headrace.encode.semantic_ids.quantiser import extended
from tests.cascade.shop import write_rich_shop

READS, FEATURES = (f"tests.cascade.reads_codes:{name}" for name in ("ReadsCodes", "ReadsFeatures"))
IDS = "\n[ids]\nlevels = 2\ncodes = 3\n"
Change = Callable[[Path], None]


def shop(folder: Path, change: Change | None = None, ids: str = IDS) -> Pipeline:
    """A shop of 24 items; one more that is chosen in the test window alone, and one without a text."""
    folder.mkdir(exist_ok=True)
    toml = write_rich_shop(folder)
    with (folder / "items.csv").open("a") as items:
        items.write("\nlate,A thing of the future,half 0,red,of silk and glass\nmute,,,,\n")
    with (folder / "events.csv").open("a") as events:
        events.write("c0,late,1701209000,view\nc1,mute,1700100000,view\n")
    toml.write_text(toml.read_text().replace("k = 12\n", f'k = 12\nuse = ["popularity", "{READS}"]\n') + ids)
    if change is not None:
        change(folder)
    return planned(toml, folder / "run")


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    return shop(tmp_path_factory.mktemp("coded"))


@pytest.fixture(scope="module")
def made(pipeline: Pipeline) -> Artifact:
    return pipeline.semantic_ids(pipeline.cuts.test_us)


def number(pipeline: Pipeline, item: str) -> int:
    return int(pipeline.log.items.encode([item])[0])


def test_items_with_a_text_have_codes_of_their_own(pipeline: Pipeline, made: Artifact) -> None:
    ids = load_semantic_ids(made, pipeline.log)
    assert made.manifest.kind == "semantic ids"
    assert set(made.manifest.parents) == {"tables", "quantiser", "item_vectors"}
    assert np.array_equal(ids.there, load_item_vectors(pipeline.need_item_vectors("the test")).any(1))
    assert not ids.there[number(pipeline, "mute")]
    assert ids.there[number(pipeline, "late")], "nobody chose it before the cut, and its text says what it is"


def test_the_last_level_grows_where_it_must_and_the_manifest_says_so(pipeline: Pipeline, made: Artifact) -> None:
    metrics = made.manifest.metrics
    assert metrics["last_level_grown"], "25 items on at most 9 codes"
    assert metrics["sizes"] == [3, 3, metrics["most_items_on_a_code"]]
    assert metrics["with_codes"] == metrics["items"] - 1


def test_what_nobody_chose_before_the_cut_has_no_part_in_the_fit(pipeline: Pipeline, tmp_path: Path) -> None:
    """Another text of the late item: its own codes may change, the centroids may not."""

    def renamed(folder: Path) -> None:
        path = folder / "items.csv"
        path.write_text(path.read_text().replace("A thing of the future", "Product 3").replace("silk and glass", "wool"))

    late, other = number(pipeline, "late"), shop(tmp_path / "other", renamed)
    cut = pipeline.cuts.test_us
    assert other.cuts.test_us == cut
    assert pipeline.log.interactions(cut).item_counts()[late] == 0
    for name in ("mean", "level.0", "level.1"):
        mine, theirs = (_quantiser(one, cut).arrays()[name] for one in (pipeline, other))
        assert np.array_equal(mine, theirs), name
    mine, theirs = (load_semantic_ids(one.semantic_ids(cut)).codes for one in (pipeline, other))
    assert not np.array_equal(mine[late], theirs[late])
    whole = _quantiser(pipeline, pipeline.cuts.last_us + 1)
    assert not np.array_equal(whole.arrays()["mean"], _quantiser(pipeline, cut).arrays()["mean"]), (
        "if it counted, this would show"
    )


def _quantiser(pipeline: Pipeline, cut_us: int) -> Any:
    return load_component(pipeline.quantiser(cut_us), QUANTISERS)


def test_the_same_plan_finds_them_and_another_setting_makes_others(pipeline: Pipeline, made: Artifact) -> None:
    again = replace(pipeline)
    assert again.semantic_ids(pipeline.cuts.test_us).key == made.key
    assert pipeline.semantic_ids(pipeline.cuts.valid_us).key != made.key


def test_a_retriever_gets_what_it_names_fitted_up_to_its_own_cut(pipeline: Pipeline) -> None:
    for final, cut in ((False, pipeline.proposed_from_us), (True, pipeline.cuts.test_us)):
        artifact = pipeline.retriever(READS, final=final)
        assert {"semantic_ids", "item_vectors"} < set(artifact.manifest.parents)
        ids = pipeline.semantic_ids(cut)
        assert artifact.manifest.parents["semantic_ids"] == ids.key
        given = pipeline.load_retriever(READS, final=final).given
        assert np.array_equal(given["codes"], load_semantic_ids(ids).codes)
        assert np.array_equal(given["vectors"], load_item_vectors(pipeline.need_item_vectors("the test")))


def test_one_that_does_not_name_them_hangs_on_neither(pipeline: Pipeline) -> None:
    assert set(pipeline.retriever("popularity", final=False).manifest.parents) == {"tables", "features"}
    with_features = replace(pipeline.plan, retrieve=replace(pipeline.plan.retrieve, use=("popularity", FEATURES)))
    other = replace(pipeline, plan=with_features)
    assert set(other.retriever(FEATURES, final=False).manifest.parents) == {"tables", "features"}
    assert other.load_retriever(FEATURES, final=False).given["kinds"].tolist() == [True, False, False]


def test_without_vectors_it_is_said_what_to_set(pipeline: Pipeline) -> None:
    features = replace(pipeline.plan.features, item_vectors=None)
    mute = replace(pipeline, plan=replace(pipeline.plan, features=features))
    with pytest.raises(ConfigError, match=r'semantic ids needs vectors of what items say.*\[features\] item_vectors = "tfidf"'):
        mute.semantic_ids(mute.cuts.test_us)


def test_codes_are_not_read_for_a_catalogue_that_has_changed(pipeline: Pipeline, made: Artifact, tmp_path: Path) -> None:
    items = pl.read_parquet(pipeline.log.tables / "items.parquet")
    for table in ("events", "users"):
        (tmp_path / f"{table}.parquet").write_bytes((pipeline.log.tables / f"{table}.parquet").read_bytes())
    said = pl.when(pl.col("item_id").is_in(["p3", "p5"])).then(pl.lit("of lead")).otherwise(pl.col("text"))
    items.with_columns(text=said).write_parquet(tmp_path / "items.parquet")
    changed = Log.from_tables(tmp_path, pipeline.plan.kinds)
    with pytest.raises(DataError, match=r"2 items have another id or text \((p3, p5|p5, p3)\)"):
        load_semantic_ids(made, changed)


def test_new_items_get_codes_by_the_quantiser_as_it_stands(pipeline: Pipeline, made: Artifact) -> None:
    ids, vectors = load_semantic_ids(made), load_item_vectors(pipeline.need_item_vectors("the test"))
    grown = extended(ids, _quantiser(pipeline, pipeline.cuts.test_us), np.concatenate([vectors, vectors[3:5]]))
    assert np.array_equal(grown.codes[: len(ids)], ids.codes)
    assert np.array_equal(grown.codes[-2:, :-1], ids.codes[3:5, :-1])
