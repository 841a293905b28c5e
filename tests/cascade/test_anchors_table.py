"""[anchors] from a TOML to its table: whole or not there, and on a log that has grown at the cost of what is new."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from headrace.cascade.anchors_section import AnchorsPlan, anchors_plan
from headrace.cascade.anchors_table import annotated, counted
from headrace.cascade.run import open_run, planned
from headrace.contracts.errors import ConfigError, DataError
from tests.cascade.shop import write_rich_shop

SMALL = {"dim": 8, "layers": 1, "heads": 1, "length": 5, "train": {"epochs": 1}}


def shop(folder: Path, more: str = "") -> Path:
    folder.mkdir(exist_ok=True)
    toml = write_rich_shop(folder)
    toml.write_text(toml.read_text() + "\n[ids]\nlevels = 2\ncodes = 4\n")
    with (folder / "events.csv").open("a") as events:
        events.write(more)
    return folder


def plan(folder: Path, out: Path | None = None, **asked: Any) -> AnchorsPlan:
    values = {"out": "anchors.parquet", "anchors": {"plan": "shop.toml", "n": 3, "causal": SMALL, **asked}}
    return anchors_plan(values, where="anchors.toml", folder=folder, out=out)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shop(tmp_path_factory.mktemp("table"))


@pytest.fixture(scope="module")
def summary(folder: Path) -> dict[str, Any]:
    return annotated(plan(folder))


def test_the_table(folder: Path, summary: dict[str, Any]) -> None:
    found = pl.read_parquet(folder / "anchors.parquet")
    assert found.schema == {
        "user_id": pl.String, "rank": pl.Int32, "codes": pl.List(pl.Int32), "log_prob": pl.Float32, "words": pl.List(pl.String),
    }  # fmt: skip
    assert len(found) == summary["anchors"] == 40 * 3
    assert found["rank"].to_list() == [1, 2, 3] * 40
    log_prob = found["log_prob"].to_numpy().reshape(40, 3)
    assert (np.diff(log_prob, axis=1) <= 0).all()
    assert set(found["codes"].list.len()) == {2}
    assert found["words"].explode().drop_nulls().len() > 0
    assert json.loads((folder / "anchors.json").read_text()) == summary
    assert (summary["users"], summary["written"]) == (40, 40)
    assert summary["as_of_us"] == open_run(folder / "runs" / "shop").cuts.last_us


def test_again_nothing_is_written(folder: Path, summary: dict[str, Any]) -> None:
    before = (folder / "anchors.parquet").read_bytes()
    count = counted(plan(folder, run="runs/shop"))
    assert (count.users, count.to_write, count.fitted) == (40, 0, True)
    assert annotated(plan(folder))["written"] == 0
    assert (folder / "anchors.parquet").read_bytes() == before


def test_a_log_that_has_grown_costs_what_is_new(folder: Path, summary: dict[str, Any], tmp_path: Path) -> None:
    """One more user and one more event, read by the writer of the run before: two are written, all others are as they were."""
    late = summary["as_of_us"] // 1_000_000 + 10
    grown = shop(tmp_path / "grown", f"new,p1,{late},view\nnew,p2,{late + 1},view\nc5,p3,{late + 2},view\n")
    asked = plan(grown, out=folder / "anchors.parquet", writer_run=str(folder / "runs" / "shop"))
    found = annotated(asked)
    assert (found["users"], found["written"], found["fingerprint"]) == (41, 2, summary["fingerprint"])
    assert found["as_of_us"] == (late + 2) * 1_000_000
    assert annotated(plan(folder))["written"] == 1, "c5 as it was; what the new one left is forgotten"


def test_until_a_window_begins(folder: Path, summary: dict[str, Any], tmp_path: Path) -> None:
    found = annotated(plan(folder, out=tmp_path / "early.parquet", until="prerank", words=0))
    assert found["as_of_us"] == open_run(folder / "runs" / "shop").cuts.prerank_us - 1
    assert "words" not in pl.read_parquet(tmp_path / "early.parquet").columns


def test_before_the_writer_is_fitted(folder: Path, summary: dict[str, Any]) -> None:
    count = counted(plan(folder, run="runs/shop", causal={**SMALL, "dim": 16}))
    assert (count.users, count.to_write, count.fitted) == (40, 40, False)


def test_a_catalogue_that_has_changed_is_refused(folder: Path, summary: dict[str, Any], tmp_path: Path) -> None:
    other = shop(tmp_path / "other")
    lines = (other / "items.csv").read_text().splitlines()
    (other / "items.csv").write_text("\n".join([*lines[:3], lines[3].replace("Product 2", "Something else"), *lines[4:]]))
    with pytest.raises(DataError, match="1 items have another id or text"):
        annotated(plan(other, out=tmp_path / "x.parquet", writer_run=str(folder / "runs" / "shop")))


def test_bad_input(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no build is there"):
        annotated(plan(tmp_path, run="nowhere", plan=""))
    bare = write_rich_shop(tmp_path)
    bare.write_text(bare.read_text().replace('item_vectors = "tfidf"\n', ""))
    planned(bare, tmp_path / "runs" / "shop")
    with pytest.raises(ConfigError, match=r'semantic ids needs vectors.*Set \[features\] item_vectors = "tfidf"'):
        annotated(plan(tmp_path))
    assert not (tmp_path / "anchors.parquet").exists()
