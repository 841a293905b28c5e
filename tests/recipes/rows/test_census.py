"""The reader of Census-Income on a made-up table of its columns."""

import numpy as np
import polars as pl
import pytest

from headrace.data import datasets
from headrace.data.datasets.census_income import COLUMNS, WHOLE
from headrace.recipes.rows import census as reader
from headrace.recipes.rows.census import TASKS, census, digest_of_census


@pytest.fixture
def read(tmp_path, monkeypatch):
    draw, n = np.random.default_rng(0), 300
    words = {name: draw.choice(["Not in universe", "?", "a", "b"], n) for name in COLUMNS}
    numbers = {name: draw.integers(0, 50, n) for name in WHOLE}
    rows = {
        **words, **numbers, "instance_weight": draw.random(n), "income": draw.choice(["- 50000.", "50000+."], n),
        "marital_status": draw.choice(["Never married", "Divorced"], n),
        "education": draw.choice(["Bachelors degree(BA AB BS)", "Doctorate degree(PhD EdD)", "High school graduate"], n),
        "split": ["train"] * 200 + ["test"] * 100,
    }  # fmt: skip
    table = pl.DataFrame(rows)
    table.write_parquet(tmp_path / "rows.parquet")
    monkeypatch.setattr(datasets, "get", lambda name: tmp_path)
    reader._read.cache_clear()
    yield table
    reader._read.cache_clear()


def test_the_published_test_rows_are_the_test_and_each_seed_draws_the_others(read):
    first, second = census(rows=100, seed=0), census(rows=100, seed=1)
    assert (len(first.train), len(first.valid), len(first.test)) == (100, 20, 100)
    assert len(census().train) == 180
    assert np.array_equal(first.test.labels["college"], second.test.labels["college"])
    assert not np.array_equal(first.train.labels["income"], second.train.labels["income"])
    again = census(rows=100, seed=0)
    assert np.array_equal(first.train.codes, again.train.codes)


def test_labels_say_what_they_are_called_and_their_columns_are_no_fields(read):
    found, test = census(), read[200:]
    assert tuple(found.test.labels) == TASKS
    assert len(found.fields) == 38
    assert not {"income", "marital_status", "education", "instance_weight", "split"} & set(found.fields)
    assert np.array_equal(found.test.labels["income"], (test["income"] == "50000+.").to_numpy())
    assert np.array_equal(found.test.labels["never_married"], (test["marital_status"] == "Never married").to_numpy())
    assert np.array_equal(found.test.labels["college"], (test["education"] != "High school graduate").to_numpy())
    fields = test.select(pl.col(found.fields).exclude(WHOLE))
    silent = sum(fields[name].is_in(["Not in universe", "?"]).to_numpy().astype(int) for name in fields.columns)
    assert np.array_equal(found.test.blanks, silent)


def test_the_digest_is_of_what_is_read(read, tmp_path):
    before = digest_of_census()
    assert before == digest_of_census()
    read.with_columns(age=pl.col("age") + 1).write_parquet(tmp_path / "rows.parquet")
    reader._read.cache_clear()
    assert digest_of_census() != before
