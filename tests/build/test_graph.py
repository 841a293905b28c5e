import pytest

from headrace.artifacts.at_work import jobs
from headrace.artifacts.store import Store
from headrace.build.graph import Graph
from headrace.contracts.errors import ArtifactError


def write(draft):
    (draft.path / "x.txt").write_text("made")


def test_a_stage_is_made_once_and_found_from_then_on(tmp_path):
    first, second = Graph(Store(tmp_path)), Graph(Store(tmp_path))
    made = first.stage("rank", write, config={"a": 1}, name="dcnv2")
    assert second.stage("rank", write, config={"a": 1}, name="dcnv2").digest == made.digest
    assert (first.made, first.reused, second.made, second.reused) == (["rank dcnv2"], [], [], ["rank dcnv2"])


@pytest.mark.parametrize("other", [{"config": {"a": 2}}, {"revision": 2}, {"config": {"a": 1}, "name": "din", "revision": 3}])
def test_who_may_only_read_makes_nothing_and_names_the_stage(tmp_path, other):
    Graph(Store(tmp_path)).stage("rank", write, config={"a": 1})
    before, reading = sorted(tmp_path.rglob("*")), Graph(Store(tmp_path), read_only=True)
    assert reading.stage("rank", write, config={"a": 1}).path.is_dir()
    with pytest.raises(ArtifactError, match=f"rank{' din' if 'name' in other else ''} is not there.*Run headrace build again"):
        reading.stage("rank", write, **{"config": {"a": 1}, **other})
    assert sorted(tmp_path.rglob("*")) == before


def test_what_is_under_way_is_told_in_the_store(tmp_path, monkeypatch):
    monkeypatch.setattr("headrace.artifacts.at_work._APART_S", 0.0)
    heard, seen = list[tuple[object, ...]](), list[object]()
    graph = Graph(Store(tmp_path), lambda *told: heard.append(told))

    def make(draft):
        graph.progress("epochs", 1, 3, "loss 1")
        seen.extend((bar.stage, bar.done, bar.of) for job in jobs(tmp_path) for bar in job.bars)

    graph.stage("rank", make, config={}, name="dcnv2")
    assert heard == [("epochs", 1, 3, "loss 1")]
    assert seen == [("rank dcnv2", 0, 0), ("epochs", 1, 3)]
    assert jobs(tmp_path) == []
    Graph(Store(tmp_path / "other"), read_only=True).progress("epochs", 1, 3)
    assert not (tmp_path / "other").exists()
