from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.contracts.errors import DataError
from headrace.data.features import Features, Timeline
from headrace.data.foundation import USER, States, refuse_other_fields
from tests.methods.upstream import some_foundation

MOMENTS = st.lists(st.lists(st.integers(0, 9), max_size=5).map(sorted), min_size=1, max_size=4)


@given(moments=MOMENTS, asked=st.lists(st.tuples(st.integers(0, 3), st.integers(-1, 11)), min_size=1, max_size=12))
def test_a_state_is_the_last_one_strictly_before(moments, asked):
    asked = [(entity % len(moments), at) for entity, at in asked]
    offsets = np.concatenate([[0], np.cumsum([len(one) for one in moments])]).astype(np.int64)
    at_us = np.array([at for one in moments for at in one], np.int64)
    states = States(offsets, at_us, np.arange(1, len(at_us) + 1, dtype=np.float32)[:, None])
    entities, when = (np.array(column) for column in zip(*asked, strict=True))
    found = states.at(entities.astype(np.int32), when.astype(np.int64))[:, 0]
    for entity, at, value in zip(entities, when, found, strict=True):
        before = [place for place in range(offsets[entity], offsets[entity + 1]) if at_us[place] < at]
        assert value == (before[-1] + 1 if before else 0)


def test_nobody_and_users_out_of_range_have_none():
    known = some_foundation()
    found = known.users_at(np.array([0, 999, -1, 1], np.int32), np.full(4, 10))
    assert found.any(1).tolist() == [False, False, False, True]
    assert found.shape == (4, known.user_width)


def test_requests_carry_it_where_features_have_one():
    nothing = Timeline(np.zeros(1, np.int64), np.zeros(0, np.int64), {})
    users = Timeline(np.arange(5), np.zeros(4, np.int64), {"user.age": np.array([0, 1, 2, 3], np.int32)})
    plain = Features(nothing, users, {"user.age": 4})
    fed = plain.with_foundation(some_foundation())
    asked = np.array([1, 3], np.int32), np.array([5, 5])
    assert USER not in plain.users_at(*asked)
    assert fed.users_at(*asked)[USER].tolist() == some_foundation().users_at(*asked).tolist()
    assert fed.users_at(*asked)["user.age"].tolist() == [1, 3]
    assert USER not in fed.sizes, "scorers of codes never see it"
    assert {*fed.arrays()} == {*plain.arrays()}, "it is an artifact of its own"


def test_what_differs_is_named():
    wanted = {"user.age": ("category", 4), "item.tags": ("bag", 9), "CR": ("vector", 8)}
    refuse_other_fields("here", dict(wanted), wanted)
    found = {"user.age": ("category", 1500), "item.tags": ("category", 9), "UR": ("vector", 8)}
    with pytest.raises(DataError) as refused:
        refuse_other_fields("here", found, wanted)
    assert str(refused.value) == (
        "here: another feature schema. item.tags is category of 9, expected bag of 9; user.age is category of 1,500, expected "
        "category of 4; UR (vector of 8) is not expected; CR (vector of 8) is missing. "
        "Take the upstream that this was trained with."
    )
    with pytest.raises(DataError, match=r"0 \(vector of 8\) is missing; .* and 4 more\. Rename them\.$"):
        refuse_other_fields("here", {}, {f"{n}": ("vector", 8) for n in range(9)} | wanted, "Rename them.")


def test_a_foundation_knows_its_widths():
    known = some_foundation()
    assert (known.user_width, known.item_width) == (8, 6)
    assert replace(known, user_parts={"UR": 3}).user_width == 3
    assert known.items_at(1).shape == (20, 6)
