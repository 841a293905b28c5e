import json
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis.strategies import booleans, fixed_dictionaries, floats, lists, sampled_from

from headrace.contracts.tables import TIME
from headrace.serve.catalogue.filters import FilterRules
from headrace.serve.catalogue.item_table import ItemTable
from headrace.serve.messages import Refused, Wanted

ROWS: list[dict[str, Any]] = [
    {"item_id": "a", "categories": ["x", "y"], "price": 1.0, "colour": "red", "grams": 5, "vegan": True},
    {"item_id": "b", "categories": ["y"], "price": None, "colour": None, "grams": 7, "vegan": False},
    {"item_id": "c", "categories": [], "price": 3.5, "colour": "blue", "grams": None, "vegan": None},
    {"item_id": "d", "categories": None, "price": 2.0, "colour": "red", "grams": -1, "vegan": True},
]


@pytest.fixture(scope="module")
def rules(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tables")
    more = {"title": None, "text": None, "available": True, "valid_from": None, "listed": None}
    frame = pl.DataFrame([row | more for row in ROWS]).with_columns(pl.col("valid_from", "listed").cast(TIME))
    frame.write_parquet(folder / "items.parquet")
    return FilterRules(ItemTable(folder, pl.Series([row["item_id"] for row in ROWS])))


def fitting(rules, **filters):
    mask = rules.mask(rules.read({name: Wanted(**wanted) for name, wanted in filters.items()}))
    assert not mask[0]
    return "".join(row["item_id"] for row, fits in zip(ROWS, mask[1:].tolist(), strict=True) if fits)


def test_what_fits(rules):
    assert fitting(rules, categories={"any": ["x"]}) == "a"
    assert fitting(rules, categories={"none": ["x"]}) == "bcd"
    assert fitting(rules, categories={"any": ["x", "y"], "none": ["x"]}) == "b"
    assert fitting(rules, price={"min": 1, "max": 2}) == "ad"
    assert fitting(rules, price={"min": 3}, colour={"any": ["blue"]}) == "c"
    assert fitting(rules, grams={"any": [5, 7]}) == "ab"
    assert fitting(rules, vegan={"none": [False]}) == "acd"
    assert fitting(rules, item_id={"any": ["b", "zz"]}) == "b"


@pytest.mark.parametrize(
    ("filters", "field", "says"),
    [
        ({"categorys": {"any": ["x"]}}, "filters.categorys", 'Did you mean "categories"'),
        ({"valid_from": {"any": ["x"]}}, "filters.valid_from", "Columns: item_id, "),
        ({"listed": {"min": 3}}, "filters.listed", "is not a column"),
        ({"price": {"any": ["cheap"]}}, "filters.price.any", "holds numbers"),
        ({"grams": {"any": [1.5]}}, "filters.grams.any", "holds whole numbers"),
        ({"price": {"any": [float("nan")]}}, "filters.price.any", "holds numbers"),
        ({"grams": {"any": [1e300]}}, "filters.grams.any", "holds whole numbers"),
        ({"vegan": {"any": ["yes"]}}, "filters.vegan.any", "holds true or false"),
        ({"categories": {"any": [3]}}, "filters.categories.any", "holds lists of texts"),
        ({"colour": {"min": 3}}, "filters.colour.min", "Use any or none"),
        ({"price": {"min": 3, "max": 2}}, "filters.price.min", "above max, 2"),
        ({"price": {}}, "filters.price", "wants nothing"),
        ({f"c{n}": {"min": 1} for n in range(21)}, "filters", "20 at most"),
    ],
)
def test_a_filter_that_does_not_fit_the_table_is_refused_with_the_field(rules, filters, field, says):
    with pytest.raises(Refused, match=says) as refused:
        rules.read({name: Wanted(**wanted) for name, wanted in filters.items()})
    assert refused.value.problem.field == field


def test_a_value_that_no_item_has_is_said(rules):
    wanted = rules.read({"colour": Wanted(any=["rad", "blue"]), "categories": Wanted(any=["nothing like it"])})
    assert rules.unmet(wanted) == [
        'filters.categories.any: no item of this generation has "nothing like it".',
        'filters.colour.any: no item of this generation has "rad". Did you mean "red"?',
    ]


def test_one_filter_is_one_text_and_a_column_that_is_gone_fits_nothing(rules):
    orders: tuple[list[Any], ...] = (["a", "b"], ["b", "a", "a"])
    first, second = (rules.read({"colour": Wanted(any=values), "price": Wanted(min=1)}) for values in orders)
    assert first == second == rules.again(first.said)
    assert not rules.mask(rules.again('{"gone": {"any": ["x"]}}')).any()


some = lists(sampled_from("xyz"), min_size=1)
wants = fixed_dictionaries({}, optional={"any": some, "none": some})


@settings(max_examples=60)
@given(
    categories=wants, price=fixed_dictionaries({}, optional={"min": floats(0, 4), "max": floats(0, 4)}),
    vegan=fixed_dictionaries({}, optional={"any": lists(booleans(), min_size=1), "none": lists(booleans(), min_size=1)}),
)  # fmt: skip
def test_rows_and_columns_agree(rules, categories, price, vegan):
    asked = {name: Wanted(**one) for name, one in (("categories", categories), ("price", price), ("vegan", vegan)) if one}
    try:
        wanted = rules.read(asked)
    except Refused:
        return
    assert rules.mask(wanted)[1:].tolist() == [wanted.fits(row) for row in ROWS]


def test_what_is_no_number_is_above_no_bound_and_in_no_row(tmp_path):
    frame = pl.DataFrame({"item_id": ["a", "b"], "valid_from": None, "price": [float("nan"), 2.0]})
    frame.with_columns(pl.col("valid_from").cast(TIME)).write_parquet(tmp_path / "items.parquet")
    table = ItemTable(tmp_path, frame["item_id"])
    rules = FilterRules(table)
    assert rules.mask(rules.read({"price": Wanted(min=1)})).tolist() == [False, False, True]
    assert {name: row["price"] for name, row in table.rows(["a", "b"]).items()} == {"a": None, "b": 2.0}


def test_a_whole_number_that_the_column_can_t_hold_is_refused(tmp_path):
    frame = pl.DataFrame({"item_id": ["a"], "valid_from": None, "year": [1999]}, schema_overrides={"year": pl.Int16})
    frame.with_columns(pl.col("valid_from").cast(TIME)).write_parquet(tmp_path / "items.parquet")
    table = ItemTable(tmp_path, frame["item_id"])
    assert table.checked("year", 32_767, "year") == 32_767
    with pytest.raises(Refused) as refused:
        table.checked("year", 32_768, "3.year")
    assert refused.value.problem.field == "3.year"
    assert "whole numbers from -32768 to 32767" in refused.value.problem.message


def test_another_generation_s_filter_of_a_column_that_is_of_another_type_here_fits_nothing(rules):
    for columns in ({"colour": {"min": 3}}, {"price": {"any": ["red"]}}, {"grams": {"none": ["red"]}}):
        wanted = rules.again(json.dumps(columns))
        assert not rules.mask(wanted).any()
    wanted = rules.again(json.dumps({"price": {"min": 1}}))
    assert not wanted.fits({"price": "as an earlier generation's table had it"})
    assert not wanted.fits({"price": ["a", "b"]})
