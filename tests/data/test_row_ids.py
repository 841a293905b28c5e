import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from headrace.data.row_ids import row_ids

values = st.one_of(st.none(), st.text(max_size=3))


def test_ids_stay_what_they_are():
    """An id that changed with a version would count every event twice."""
    frame = pl.DataFrame({"user_id": ["a"], "value": [1.5], "position": [3]})
    assert row_ids(frame).to_list() == ["d6160578d40628f70caa89495b3bb4e3"]


@given(st.lists(st.tuples(values, values, st.floats(allow_nan=False) | st.none()), max_size=20))
def test_equal_rows_and_only_they_share_an_id(rows):
    frame = pl.DataFrame(rows, schema={"a": pl.String, "b": pl.String, "x": pl.Float64}, orient="row")
    assert row_ids(frame).n_unique() == len(set(rows))
    assert row_ids(frame.select("x", "b", "a")).equals(row_ids(frame))


def test_a_null_column_changes_nothing():
    frame = pl.DataFrame({"a": ["x", "y"]})
    assert row_ids(frame.with_columns(later=pl.lit(None, pl.String))).equals(row_ids(frame))


def test_a_value_is_known_by_its_column():
    a, b = (row_ids(pl.DataFrame({"a": [a], "b": [b]})).item() for a, b in (("x", None), (None, "x")))
    assert a != b
