import numpy as np
import polars as pl
import pytest

from headrace.contracts.errors import DataError
from headrace.evaluate.trec import key_of, read_run

KEYS = ["u1", "u2"]
USERS = np.array([1, 2])


def encode(ids):
    return np.array([int(text[1:]) if text[1:].isdigit() else 0 for text in ids], np.int32)


def read(tmp_path, columns, keys=KEYS, users=USERS, **options):
    path = tmp_path / "their.parquet"
    pl.DataFrame(columns).write_parquet(path)
    return read_run(path, users=np.asarray(users), keys=keys, encode=encode, depth=3, **options)


def columns(**changed):
    return {
        "user_id": ["u2", "u1", "u1", "u2", "u9"],
        "item_id": ["i5", "i1", "i2", "i4", "i1"],
        "score": [0.1, 0.3, 0.9, 0.5, 1.0],
        **changed,
    }


def test_scores_rank_downwards_and_other_users_are_not_read(tmp_path):
    lists = read(tmp_path, columns())
    assert lists.items.tolist() == [[2, 1, 0], [4, 5, 0]]
    assert lists.users.tolist() == [1, 2]


def test_ranks_rank_upwards_and_go_before_scores(tmp_path):
    assert read(tmp_path, columns(rank=[1, 1, 2, 2, 1])).items.tolist() == [[1, 2, 0], [5, 4, 0]]


def test_a_run_by_user_serves_each_request_of_the_user(tmp_path):
    lists = read(tmp_path, columns(), keys=["u2", "u1", "u2"], users=np.array([2, 1, 2]))
    assert lists.items.tolist() == [[4, 5, 0], [2, 1, 0], [4, 5, 0]]


def test_requests_go_before_users(tmp_path):
    lists = read(tmp_path, columns(request_id=["r1", "r2", "r2", "r1", "r3"]), keys=["r2", "r1"])
    assert lists.items.tolist() == [[2, 1, 0], [4, 5, 0]]


def test_an_unknown_item_keeps_its_rank_and_lists_are_cut(tmp_path):
    lists = read(
        tmp_path, {"user_id": ["u1"] * 5, "item_id": ["i1", "ix", "iy", "i2", "i3"], "rank": [3, 1, 4, 2, 5]}, ["u1"], [1]
    )
    assert lists.items.tolist() == [[0, 2, 1]]


def test_an_unknown_item_is_told_of(tmp_path, caplog):
    read(tmp_path, {"user_id": ["u1"] * 3, "item_id": ["i1", "ix", "i2"], "rank": [1, 2, 3]}, ["u1"], [1])
    assert 'item_id: 1 of 3 rows name no item of the catalogue, the first is "ix"' in caplog.text


@pytest.mark.parametrize("ranks", [[0, 1, 2], [1, 2, 3], [5, 6, 7], [1, 40, 900], [1.0, 2.0, 3.0]])
def test_of_ranks_only_the_order_counts(tmp_path, ranks):
    lists = read(tmp_path, {"user_id": ["u1"] * 3, "item_id": ["i3", "i1", "i2"], "rank": ranks}, ["u1"], [1])
    assert lists.items.tolist() == [[3, 1, 2]]


def test_large_and_infinite_scores_are_ordered_exactly(tmp_path):
    near = [2**53 + 1, 2**53, 2**53 + 2]
    one = {"user_id": ["u1"] * 3, "item_id": ["i1", "i2", "i3"]}
    assert read(tmp_path, {**one, "score": near}, ["u1"], [1]).items.tolist() == [[3, 1, 2]]
    assert read(tmp_path, {**one, "score": [0.0, -np.inf, np.inf]}, ["u1"], [1]).items.tolist() == [[3, 1, 2]]


def test_numbers_may_be_ids(tmp_path):
    made = columns(user_id=[2, 1, 1, 2, 9])
    assert read(tmp_path, made, keys=["1", "2"]).items.tolist() == [[2, 1, 0], [4, 5, 0]]


def test_the_order_of_the_file_does_not_break_ties(tmp_path):
    names = [f"i{at}" for at in range(1, 21)]
    one = {"user_id": ["u1"] * 20, "item_id": names, "score": [1.0] * 20}
    orders = [read(tmp_path, {**one, "item_id": ids}, ["u1"], [1]).items.tolist() for ids in (names, names[::-1])]
    assert orders[0] == orders[1]
    assert orders[0] not in ([[1, 2, 3]], [[20, 19, 18]])


def test_a_sampler_is_kept(tmp_path):
    assert read(tmp_path, columns(), sampler="uniform-100").sampler == "uniform-100"


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"score": [0.1, None, 0.9, 0.5, 1.0]}, "their.parquet: score: 1 rows have no value, the first is row 1"),
        ({"score": [0.1, 0.2, np.nan, 0.5, 1.0]}, "score: 1 rows have no value, the first is row 2"),
        ({"item_id": ["i5", "i1", "i1", "i4", "i1"]}, "their.parquet: item_id: \"u1\" has item 'i1' twice"),
        ({"rank": [1, 1, 1, 2, 1]}, 'rank: "u1" has rank 1 twice'),
        ({"rank": [-1, -2, -1, -2, -1]}, "rank: 5 rows have none, the first is row 0 with -1. A rank is a whole number"),
        ({"rank": [1.0, 0.5, 1.0, 2.0, 1.0]}, "rank: 1 rows have none, the first is row 1 with 0.5"),
        ({"score": ["a"] * 5}, "score: the type is String"),
        (
            {"user_id": ["u1"] * 3 + ["u9"] * 2, "score": [5, 4, 3, 2, 1]},
            'user_id: 1 of 2 requests have no row, the first is "u2"',
        ),
        ({"item_id": ["ia", "ib", "ic", "id", "ie"]}, "item_id: none of the items is in the catalogue"),
    ],
)
def test_what_is_refused(tmp_path, changed, says):
    with pytest.raises(DataError, match=says):
        read(tmp_path, columns(**changed))


def test_a_missing_column_is_answered_with_the_nearest(tmp_path):
    made = columns()
    made["scores"] = made.pop("score")
    with pytest.raises(DataError, match=r"no column rank or score\..*Columns: user_id, item_id, scores\. Expected: request_id"):
        read(tmp_path, made)


def test_a_file_that_is_no_parquet(tmp_path):
    path = tmp_path / "run.parquet"
    for _ in range(2):
        with pytest.raises(DataError, match=r"run\.parquet: can't be read as Parquet"):
            read_run(path, users=USERS, keys=KEYS, encode=encode)
        with pytest.raises(DataError, match=r"run\.parquet: can't be read as Parquet"):
            key_of(path)
        path.write_text("not parquet")
