"""Our retrievers side by side, and another system's answers judged by the same harness."""

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


def test_a_run_that_leaves_requests_out_is_refused(pipeline, tmp_path):
    pl.DataFrame({"request_id": ["x"], "item_id": ["p1"], "rank": [1]}).write_parquet(tmp_path / "few.parquet")
    with pytest.raises(DataError, match="requests have no row"):
        judge_run(pipeline, tmp_path / "few.parquet", "few")
    with pytest.raises(DataError, match="there is no such file"):
        judge_run(pipeline, tmp_path / "none.parquet", "none")
