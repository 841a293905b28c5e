"""A plan that reads an upstream: its ids are matched, its states are as of each request, and what doesn't fit is refused."""

import json
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from headrace.build.graph import Graph
from headrace.cascade.mapped_foundation import check_same, foundation_told, mapped
from headrace.cascade.pipeline import Pipeline
from headrace.cascade.run import build, open_run, planned
from headrace.contracts.errors import ArtifactError, ConfigError, DataError
from headrace.data.foundation import USER
from headrace.data.vocabulary import Vocabulary
from tests.cascade.fed_shop import DAY_US, START_US, USER_IDS, states, upstream, write_fed_shop, write_upstream
from tests.cascade.shop import RING


@pytest.fixture(scope="module")
def fed(tmp_path_factory):
    toml = write_fed_shop(tmp_path_factory.mktemp("fed"))
    build(toml, toml.parent / "run", name="fed")
    return toml


@pytest.fixture
def pipeline(fed) -> Pipeline:
    return open_run(fed.parent / "run")


def test_states_are_found_under_this_logs_numbers():
    theirs = states(3, 2, 0)
    found = mapped(theirs, pl.Series(["a", "b", "c"]), Vocabulary(["c", "new", "a"]))
    assert found.offsets.tolist() == [0, 0, 3, 3, 6]
    assert found.values[:3].tolist() == theirs.values[6:9].tolist()
    assert found.values[3:].tolist() == theirs.values[:3].tolist()
    assert found.at_us[:3].tolist() == theirs.at_us[6:9].tolist()
    none = mapped(theirs, pl.Series(["a", "b", "c"]), Vocabulary(["x"]))
    assert none.offsets.tolist() == [0, 0, 0]
    assert none.values.shape == (0, 2)


def test_requests_carry_the_last_state_before_each(pipeline):
    theirs, ids = upstream().users, USER_IDS
    log = pipeline.log
    for user, day in (("c4", 4.5), ("c4", 3.5), ("c4", 4.0), ("c5", 9.5), ("c38", -1.5)):
        at_us = START_US + int(day * DAY_US)
        found = pipeline.requests_of(log.users.encode([user]), np.array([at_us])).features[USER][0]
        first = theirs.offsets[ids.index(user) + 1] if user in ids else 0
        before = int((theirs.at_us[first : first + 3] < at_us).sum()) if user in ids else 0
        wanted = theirs.values[first + before - 1] if before else np.zeros_like(found)
        assert found.tolist() == wanted.tolist(), (user, day)


def test_the_report_says_whom_it_knows_and_what_it_has_seen(fed, pipeline):
    metrics = pipeline.foundation.manifest.metrics
    assert (metrics["users_known"], metrics["users"]) == (20, 40)
    assert (metrics["items_known"], metrics["items"]) == (RING - 4, RING)
    facts = json.loads((fed.parent / "run" / "report.json").read_text())["facts"]["foundation"]
    assert facts["users it knows"] == "20 of 40 (50.0%)"
    assert facts["labels"] == "trained on labels before 2023-11-16 22:13 UTC"
    assert "users it knows" in (fed.parent / "run" / "report.html").read_text()
    start, end = pipeline.window("rank")
    pipeline.foundation.manifest.metrics["trained_until_us"] = end
    told = foundation_told(pipeline.foundation, {"the ranker": (start, end)})
    assert "and the ranker learns from" in told["labels"]
    assert "has seen labels of those days" in told["labels"]


def test_keys_of_what_reads_it_change_with_the_artifact_and_no_others(fed, tmp_path):
    before = planned(fed, tmp_path / "run")
    one = write_fed_shop(tmp_path)
    write_upstream(tmp_path / "upstream", made_of="another")
    after = planned(one, tmp_path / "run")
    assert before.sources["foundation"] != after.sources["foundation"]
    assert {name: key for name, key in before.sources.items() if name != "foundation"} == {
        name: key for name, key in after.sources.items() if name != "foundation"
    }
    before, after = (Pipeline(one.plan, Graph(open_run(fed.parent / "run").graph.store), one.sources) for one in (before, after))
    assert after.retriever("itemknn", final=True).key == before.retriever("itemknn", final=True).key
    assert after.graph.made == []
    assert after.retriever("standalone", final=False).key != before.retriever("standalone", final=False).key
    assert set(after.graph.made) == {"foundation", "retrieve standalone"}
    parents = open_run(fed.parent / "run").scorer("rank").manifest.parents
    assert parents["foundation"] == before.need_foundation("a test").key


def test_a_build_needs_the_folder_no_more(fed, pipeline, tmp_path):
    moved = fed.parent / "upstream"
    moved.rename(tmp_path / "upstream")
    try:
        assert len(pipeline.cascade().scorings) == 2
    finally:
        (tmp_path / "upstream").rename(moved)


@pytest.mark.parametrize(
    ("other", "kind", "says"),
    [
        (
            {"fields": {"item.title": ("bag", 9), "item.categories": ("category", 3), "user.age": ("category", 5)}}, DataError,
            r"\[foundation\]: another feature schema\. item\.categories is category of 3, expected bag of \d\. Give the column",
        ),
        (
            {"trained_until_us": START_US + 20 * DAY_US}, ConfigError,
            r"trained on labels up to 2023-12-04 22:13 UTC, and this plan tests what comes from 2023-11-\d\d \d\d:\d\d UTC "
            r"on, .* a smaller test_share",
        ),
    ],
)  # fmt: skip
def test_an_upstream_that_does_not_fit_is_refused(fed, tmp_path, other, kind, says):
    toml = write_fed_shop(tmp_path)
    write_upstream(tmp_path / "upstream", **other)
    with pytest.raises(kind, match=says):
        _ = planned(toml, tmp_path / "run").feature_object


def test_a_broken_artifact_is_refused_by_its_file(tmp_path):
    toml = write_fed_shop(tmp_path)
    (tmp_path / "upstream" / "user_ids.parquet").unlink()
    with pytest.raises(ArtifactError, match=r"user_ids\.parquet: is missing"):
        _ = planned(toml, tmp_path / "run").foundation


def test_a_log_without_times_is_refused(tmp_path):
    toml = write_fed_shop(tmp_path)
    events = pl.read_csv(tmp_path / "events.csv").drop("when")
    events.write_csv(tmp_path / "events.csv")
    text = toml.read_text().replace('at = "when"\n', "").replace("[data]\n", '[data]\nclock = "ordinal"\n', 1)
    toml.write_text(text)
    with pytest.raises(DataError, match=r"needs times, but the log's clock is ordinal"):
        _ = planned(toml, tmp_path / "run").feature_object


def test_a_stored_component_refuses_another_upstream_by_the_names_of_what_differs(pipeline):
    known = pipeline.feature_object.foundation
    readers = {"rank": pipeline.scoring("rank").scorer, "standalone": pipeline.load_retriever("standalone", final=True)}
    for name, component in readers.items():
        check_same(component, known, name)
        other = replace(known, user_parts={"UR": 3, "CR": 4, "CR2": 1}, fields={})
        with pytest.raises(DataError, match=rf"^{name}: another feature schema\. user part CR is vector of 4") as refused:
            check_same(component, other, name)
        for said in ("expected vector of 5", "part CR2 (vector of 1) is not expected", "item.title (category of 9) is missing"):
            assert said in str(refused.value)
        with pytest.raises(DataError, match="user part UR"):
            check_same(component, None, name)
    check_same(pipeline.load_retriever("itemknn", final=True), None, "itemknn")
