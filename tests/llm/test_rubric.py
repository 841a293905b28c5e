"""Rubrics: rows that name their mistakes, versions that know their parents, and the same bytes back."""

from dataclasses import replace

import polars as pl
import pytest

from headrace.artifacts.store import Store
from headrace.contracts.errors import ArtifactError, DataError
from headrace.llm.rubric import Item, Rubric, from_tables, load, store

THANKS = Item("gratitude", "The user thanks.", weight=2.0, support=7, stat={"share": 0.25})
PRAISE = Item("praise", "The user praises.")
SAT = Rubric("sat", "SAT", (THANKS, PRAISE), {"domain": "hotels"}, method="spur")
SIDES = Item("depth", "How much is explained.", sides={"expert": "code first", "novice": "step by step"})


@pytest.mark.parametrize("rubric", [SAT, Rubric("c", "CONTRAST", (SIDES,))])
def test_it_comes_back_from_its_folder_as_it_was(tmp_path, rubric):
    artifact = store(Store(tmp_path), rubric, made_from={"turns": "abc"}, personal=True)
    assert load(artifact) == rubric
    assert (artifact.manifest.parents, artifact.manifest.personal) == ({"turns": "abc"}, True)
    assert sorted(artifact.manifest.files) == ["rubric.parquet", "rubric_items.parquet"]
    assert store(Store(tmp_path), rubric, made_from={"turns": "abc"}).key == artifact.key  # found, not made again


def test_a_new_version_links_to_the_one_before(tmp_path):
    into = Store(tmp_path)
    first = store(into, SAT)
    newer = SAT.next([PRAISE], method="by hand")
    assert (newer.version, newer.parent) == (2, SAT.id)
    second = store(into, newer, parent=first)
    assert [manifest.key for manifest in into.lineage(second.key)] == [second.key, first.key]
    with pytest.raises(ArtifactError, match="Give the artifact of the version before"):
        store(into, newer)
    with pytest.raises(ArtifactError, match="version 1 comes from None"):
        store(into, SAT, parent=first)


def test_any_change_is_another_rubric():
    ids = {SAT.id, replace(SAT, scope={}).id, replace(SAT, items=(PRAISE, THANKS)).id, SAT.next([PRAISE], method="x").id}
    assert len(ids) == 4
    assert replace(SAT).id == SAT.id


@pytest.mark.parametrize(
    ("items", "says"),
    [
        ((), "has no items"),
        ((PRAISE, THANKS, PRAISE), 'row 3: key "praise" stands in row 1 too'),
        ((PRAISE, replace(PRAISE, key=" ")), "row 2: key is empty"),
        ((replace(PRAISE, description=""),), "row 1: description is empty"),
        ((replace(PRAISE, weight=-1.0),), "row 1: weight is -1, expected above 0"),
        ((replace(PRAISE, scale_min=0),), "row 1: scale is 0 to 10"),
        ((replace(PRAISE, support=-2),), "row 1: support is -2"),
        ((SIDES,), "row 1: sides are given, but the rubric is SAT"),
    ],
)
def test_what_is_wrong_is_named_by_row_and_field(items, says):
    with pytest.raises(DataError, match=says):
        Rubric("r", "SAT", items)


def test_a_contrast_needs_two_sides_that_differ():
    for sides in ({}, {"a": "x"}, {"a": "Code first", "b": "code  first"}):
        with pytest.raises(DataError, match="row 1: sides are"):
            Rubric("r", "CONTRAST", (replace(SIDES, sides=sides),))


def test_head_mistakes():
    with pytest.raises(DataError, match='polarity is "GOOD", expected SAT, DSAT, CRITERIA, CONTRAST'):
        Rubric("r", "GOOD", (PRAISE,))  # type: ignore[arg-type]
    with pytest.raises(DataError, match="version 2 with parent None"):
        Rubric("r", "SAT", (PRAISE,), version=2)


def test_tables_are_checked_when_read():
    head, items = SAT.tables()
    assert from_tables(head, items.reverse()) == SAT  # order is a column, not the file's
    with pytest.raises(DataError, match="rubric_items row 2: description is null"):
        from_tables(head, items.with_columns(description=pl.when(pl.col("order") == 0).then("description")))
    with pytest.raises(DataError, match=r"here: rubric_items.weight is String, expected Float64"):
        from_tables(head, items.with_columns(pl.col("weight").cast(pl.String)), "here")
    with pytest.raises(DataError, match=r"A changed rubric is another version"):
        from_tables(head, items.with_columns(weight=pl.lit(3.0)))
    with pytest.raises(DataError, match="has 2 rows"):
        from_tables(pl.concat([head, head]), items)


def test_it_is_shown_a_line_an_item():
    assert SAT.rendered() == "- gratitude: The user thanks.\n- praise: The user praises."
    assert "(expert: code first; novice: step by step)" in Rubric("c", "CONTRAST", (SIDES,)).rendered()
