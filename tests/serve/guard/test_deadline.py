import numpy as np
import polars as pl
import pytest

from headrace.cascade.answers import answer, walk
from headrace.cascade.sparing import ORDER
from headrace.serve.explain import explain
from headrace.serve.guard.deadline import Deadline, StageTimes
from headrace.serve.logs.impressions import logged_request
from headrace.serve.service import Service

RETRIEVERS = ("retrieve.popularity", "retrieve.itemknn", "retrieve.sasrec")


def times():
    return StageTimes(lambda _: lambda _: None)


def test_a_stage_is_left_out_when_what_is_left_is_less_than_it_takes():
    known = times()
    for _ in range(50):
        known.took("rank", 0.010)
    assert known.expected("rank") == pytest.approx(0.010)
    assert not Deadline(known, 1.0, lambda: 0.989).skips("rank")
    assert Deadline(known, 1.0, lambda: 0.991).skips("rank")
    assert not Deadline(known, 1.0, lambda: 0.999).skips("new"), "one that never ran is tried"
    assert Deadline(known, 1.0, lambda: 1.001).skips("new"), "unless it is too late for anything"


def test_a_stage_that_strays_is_given_more_room():
    steady, wild = times(), times()
    for number in range(100):
        steady.took("rank", 0.010)
        wild.took("rank", 0.005 if number % 2 else 0.015)
    assert wild.expected("rank") > 1.5 * steady.expected("rank")


def test_a_stage_that_was_slow_once_is_tried_again():
    known = times()
    known.took("rank", 1.0)
    deadline = Deadline(known, 0.1, lambda: 0.0)
    tries = next(number for number in range(1000) if not deadline.skips("rank"))
    assert 10 < tries < 100
    for _ in range(60):
        known.took("rank", 0.01)
    assert not deadline.skips("rank")


@pytest.mark.parametrize(
    ("out", "skipped", "last"),
    [
        (("rank",), ("rank",), "prerank"),
        (("prerank",), ("prerank", "rank"), ORDER),
        (("retrieve.sasrec",), ("retrieve.sasrec",), "rank"),
        ((*RETRIEVERS, "prerank"), (*RETRIEVERS, "prerank", "rank"), ORDER),
        ((*RETRIEVERS,), (*RETRIEVERS,), "rank"),
    ],
)
def test_what_is_left_out_has_something_in_its_place(service, out, skipped, last):
    before = service.metrics.text().decode().count("headrace_degraded_total{")
    given = service.recommend("c1", "r1", skips=out.__contains__)
    assert given.asked.skipped == skipped
    assert len({one.item_id for one in given.page}) == 4
    assert all(0 < one.propensity <= 1 and one.reasons for one in given.page)
    walked = service.walk(given.asked)
    assert list(walked.scored)[-1] == last
    assert set(walked.recalled.scores) >= {name.partition(".")[2] for name in RETRIEVERS}, "as the scorers know them"
    for name in set(out) & set(RETRIEVERS):
        assert np.isnan(walked.recalled.scores[name.partition(".")[2]]).all()
    assert service.metrics.text().decode().count("headrace_degraded_total{") == before + len(skipped)


def test_without_time_for_anything_the_page_is_the_fallback_s(service):
    given = service.recommend("c1", "r1", skips=lambda _: True)
    found = explain(service, "r1")
    assert found is not None
    assert [one.item_id for one in found.items] == [one.item_id for one in given.page]
    assert all(one.proposed_by == ["fallback"] for one in found.items)
    assert any(rule.startswith("deadline: there was no time for retrieve.") for rule in found.rules)


def test_the_order_of_proposals_stands_in_for_scorers(service):
    given = service.recommend("c1", "r1", skips="prerank".__eq__)
    walked = service.walk(given.asked)
    items, order = walked.candidates.items[0], walked.candidates.scores[ORDER][0]
    assert items.tolist() == walked.recalled.items[0].tolist()
    assert order[0] == 0
    assert order[3] == pytest.approx(-np.log(4))


def test_a_request_sent_again_leaves_out_what_it_left_out(pipeline, tmp_path):
    service = Service(pipeline, tmp_path)
    first = service.recommend("c1", "r1", skips="rank".__eq__)
    again = service.recommend("c1", "r1")
    assert (again.page, again.asked.skipped) == (first.page, ("rank",))
    told = explain(service, "r1")
    service.close()
    later = Service(pipeline, tmp_path)
    found = logged_request(tmp_path, "r1")
    assert found is not None
    assert found[0].skipped == ("rank",)
    assert explain(later, "r1") == told
    later.close()


def test_requests_logged_by_an_earlier_version_are_still_read(pipeline, tmp_path):
    service = Service(pipeline, tmp_path)
    for number in range(2):
        service.recommend("c1", f"r{number}")
    service.close()
    (path,) = (tmp_path / "requests").glob("*/*.parquet")
    pl.read_parquet(path).drop("skipped").head(1).write_parquet(path)
    pl.read_parquet(path).with_columns(request_id=pl.lit("r2"), skipped=pl.Series([["rank"]])).write_parquet(
        path.with_name("z.parquet")
    )
    found = [logged_request(tmp_path, one) for one in ("r0", "r2")]
    assert [one and one[0].skipped for one in found] == [(), ("rank",)]


def test_with_time_for_all_nothing_changes(pipeline):
    cascade, requests = (
        pipeline.cascade(),
        pipeline.requests_of(pipeline.log.users.encode(["c1"]), np.array([pipeline.cuts.last_us])),
    )
    walked = walk(cascade, requests, seed=0)
    assert walked.skipped == ()
    np.testing.assert_array_equal(walked.slates.items, cascade.act(requests, seed=0).items)
    assert answer(cascade, pipeline.log, requests, seed=0)[0]
