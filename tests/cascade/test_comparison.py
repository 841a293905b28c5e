"""Our retrievers side by side, and another system's answers judged by the same harness."""

import numpy as np
import polars as pl
import pytest

from headrace.cascade.comparison import compare_retrievers, judge_run, write_requests
from headrace.cascade.evaluation import test_requests as requests_of_the_test_window
from headrace.contracts.errors import DataError


def test_retrievers_side_by_side(pipeline):
    rows = compare_retrievers(pipeline, ["popularity", "itemknn", "sasrec"])
    assert {row.method for row in rows} == {"popularity", "itemknn", "sasrec"}
    sasrec = next(row for row in rows if (row.method, row.metric, row.slice) == ("sasrec", "recall@5", "all"))
    assert sasrec.baseline == "popularity"
    assert sasrec.diff_lo is not None
    assert sasrec.diff_lo > 0


def test_a_peer_answers_the_requests_and_is_judged(pipeline, tmp_path):
    """The peer here continues the ring from the last item of the history it was given: nearly right by construction."""
    write_requests(pipeline, tmp_path / "requests.parquet")
    asked = pl.read_parquet(tmp_path / "requests.parquet")
    assert asked.columns == ["request_id", "user_id", "at", "history"]
    last = pl.col("history").list.last().str.strip_prefix("p").cast(pl.Int64)
    steps = pl.DataFrame({"rank": range(1, 6)})
    answers = asked.join(steps, how="cross").with_columns(item_id=pl.format("p{}", (last + pl.col("rank")) % 24))
    answers.select("request_id", "item_id", "rank").write_parquet(tmp_path / "peer.parquet")
    rows = judge_run(pipeline, tmp_path / "peer.parquet", "peer")
    found = next(row for row in rows if (row.method, row.metric, row.slice) == ("peer", "recall@5", "all"))
    assert found.value > 0.8
    assert found.diff_lo is not None
    assert found.diff_lo > 0


def test_the_history_handed_out_ends_before_the_request(pipeline, tmp_path):
    write_requests(pipeline, tmp_path / "requests.parquet")
    asked = pl.read_parquet(tmp_path / "requests.parquet")
    requests, _ = requests_of_the_test_window(pipeline)
    assert asked["history"].list.len().fill_null(0).to_list() == requests.history.lengths.tolist()


def test_a_run_named_like_the_baseline_is_still_set_against_it(pipeline, tmp_path):
    requests, _ = requests_of_the_test_window(pipeline)
    rows = pl.DataFrame({"request_id": requests.ids, "item_id": "p1", "rank": 1})
    rows.write_parquet(tmp_path / "popularity.parquet")
    found = judge_run(pipeline, tmp_path / "popularity.parquet", "popularity")
    assert {row.method for row in found} == {"popularity", "popularity (theirs)"}


def test_a_run_of_users_answers_all_their_requests(pipeline, tmp_path):
    requests, _ = requests_of_the_test_window(pipeline)
    users = pipeline.log.users.decode(np.unique(requests.users))
    pl.DataFrame({"user_id": users, "item_id": "p1", "score": 0.5}).write_parquet(tmp_path / "users.parquet")
    assert {row.method for row in judge_run(pipeline, tmp_path / "users.parquet", "users")} == {"popularity", "users"}


def test_a_run_that_is_no_parquet_is_refused(pipeline, tmp_path):
    (tmp_path / "run.parquet").write_text("request_id,item_id,rank")
    with pytest.raises(DataError, match=r"run\.parquet: can't be read as Parquet"):
        judge_run(pipeline, tmp_path / "run.parquet", "run")


def test_a_run_that_leaves_requests_out_is_refused(pipeline, tmp_path):
    pl.DataFrame({"request_id": ["x"], "item_id": ["p1"], "rank": [1]}).write_parquet(tmp_path / "few.parquet")
    with pytest.raises(DataError, match="requests have no row"):
        judge_run(pipeline, tmp_path / "few.parquet", "few")
    with pytest.raises(DataError, match="there is no such file"):
        judge_run(pipeline, tmp_path / "none.parquet", "none")
