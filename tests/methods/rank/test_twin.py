from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

from headrace.data.rank_inputs import AGES
from headrace.methods.rank.twin import TWIN, TWINConfig
from tests.methods.examples import SIZES, VECTORS, inputs
from tests.methods.rank.long import check_padding_is_silent, check_reader, learned, share_found

SMALL = TWINConfig(item_dim=4, feature_dim=3, hidden=(8,), history=9, kept=3, width=4, batch_size=8)


@pytest.mark.parametrize(
    ("sizes", "vectors"), [(SIZES, None), ({}, None), (SIZES, VECTORS)], ids=["features", "none", "all"]
)  # fmt: skip
def test_contract(sizes, vectors):
    check_reader(TWIN, SMALL, sizes, vectors)


def test_padding_is_silent():
    check_padding_is_silent(TWIN, SMALL, SIZES)


@torch.no_grad()
@pytest.mark.parametrize("heads", [1, 2])
def test_what_it_leaves_out_is_what_the_attention_would_have_weighed_least(heads):
    model, user, state, target, items = some(replace(SMALL, heads=heads))
    found = model._found(state, target, items)
    past, there = model._past(user), state["there"]
    for row in range(len(past)):
        keys = model.attend.keys(past[row][there[row]])
        for place in range(target.shape[1]):
            query = model.attend.queries(target[row, place])
            scores = keys @ query  # softmax keeps the order of a head's scores; two heads' are summed
            places = found.places[row, place][found.there[row, place]]
            assert len(places.unique()) == len(places) == min(len(keys), 3)
            assert_close(scores[places], scores.sort(descending=True).values[:3])


@torch.no_grad()
def test_where_all_events_are_found_it_is_attention_over_all():
    model, user, state, target, items = some(replace(SMALL, kept=9))
    assert_close(model._reading(state, target, items), model.attend(target, model._past(user), state["there"]))


@torch.no_grad()
def test_keys_of_items_and_of_ages_can_be_worked_out_once():
    model, user, state, _, _ = some(SMALL)
    catalogue = model.attend.keys(model._target(torch.arange(20)))
    ages = model.ages.weight @ model.attend.keys.weight.T
    bucket = (2 * user[AGES]).long().clamp(max=len(ages) - 1)
    assert_close(catalogue[user["history"]] + ages[bucket], state["keys"])


def test_it_learns_what_only_an_old_event_tells():
    small = TWINConfig(heads=1, item_dim=16, feature_dim=8, hidden=(32,), history=24, kept=8, width=4, batch_size=32, dropout=0.0)
    assert share_found(TWIN, small) > 0.9


def some(settings):
    model, _, lists = learned(TWIN, settings, sizes=SIZES)
    user, candidates = inputs(model, lists)
    return model, user, model.user(user), model._target(candidates["items"]), candidates["items"]
