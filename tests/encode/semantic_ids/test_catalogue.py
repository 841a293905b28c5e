"""A catalogue that changed under its codes."""

import numpy as np
import pytest

from headrace.contracts.errors import DataError
from headrace.data.vocabulary import Vocabulary
from headrace.encode.semantic_ids.catalogue import fingerprint_of, marks_of, refuse_changed

ITEMS, TEXTS = Vocabulary(["x", "y", "z"]), ["", "tea", "", "cups"]


def test_a_changed_text_or_id_is_named() -> None:
    then = marks_of(ITEMS, TEXTS)
    with pytest.raises(DataError, match=r"1 items have another id or text \(y\)"):
        refuse_changed(then, marks_of(ITEMS, ["", "tea", "now it has one", "cups"]), ITEMS)
    other = Vocabulary(["x", "z", "y"])
    with pytest.raises(DataError, match=r"2 items have another id or text \(z, y\)"):
        refuse_changed(then, marks_of(other, TEXTS), other)


def test_of_many_the_first_few_are_named() -> None:
    items = Vocabulary([f"i{number}" for number in range(20)])
    with pytest.raises(DataError, match=r"20 items .*\(i0, i1, i2, i3, i4 and 15 more\)"):
        refuse_changed(marks_of(items), marks_of(items, ["."] * 21), items)


def test_items_that_came_later_are_no_change_and_those_that_went_are() -> None:
    grown, more = Vocabulary([*ITEMS.ids, "w"]), [*TEXTS, "new"]
    refuse_changed(marks_of(ITEMS, TEXTS), marks_of(grown, more), grown)
    with pytest.raises(DataError, match="1 items are not there any more"):
        refuse_changed(marks_of(grown, more), marks_of(ITEMS, TEXTS), ITEMS)


def test_the_fingerprint_is_of_ids_and_texts() -> None:
    assert fingerprint_of(marks_of(ITEMS, TEXTS)) == fingerprint_of(marks_of(ITEMS, list(TEXTS)))
    assert fingerprint_of(marks_of(ITEMS, TEXTS)) != fingerprint_of(marks_of(ITEMS))
    assert marks_of(ITEMS, TEXTS).dtype == np.uint64
