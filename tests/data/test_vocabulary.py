import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from headrace.data.vocabulary import Vocabulary

ids = st.lists(st.text("abcd", min_size=1, max_size=2))


@given(ids, ids, ids)
def test_it_only_grows(first, second, asked):
    old = Vocabulary(pl.Series(first, dtype=pl.String).unique(maintain_order=True))
    new = old.extended(pl.Series(second, dtype=pl.String))
    assert new.ids.to_list()[: len(old.ids)] == old.ids.to_list()
    known = old.encode(asked)
    assert (new.encode(asked)[known > 0] == known[known > 0]).all()
    assert (new.encode(second) > 0).all()
    assert sorted(new.encode(new.ids).tolist()) == list(range(1, len(new)))


@given(ids, ids)
def test_numbers_and_ids_go_both_ways(known, asked):
    vocabulary = Vocabulary(list(dict.fromkeys(known)))
    numbers = vocabulary.encode(asked)
    assert vocabulary.decode(numbers) == [name if name in known else None for name in asked]
    assert ((numbers == 0) == np.array([name not in known for name in asked], np.bool_)).all()


def test_a_file_keeps_it(tmp_path):
    vocabulary = Vocabulary(["b", "a"])
    vocabulary.save(tmp_path / "ids.parquet")
    assert Vocabulary.load(tmp_path / "ids.parquet").encode(["a", "b", "c"]).tolist() == [2, 1, 0]


def test_nothing_is_not_an_id():
    assert len(Vocabulary([]).extended(pl.Series([None, "a", None, "a"]))) == 2
