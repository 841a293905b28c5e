from dataclasses import replace

import pytest
import torch

from headrace.contracts.errors import ConfigError
from headrace.methods.rank.sim import SIM, SIMConfig
from headrace.testing import check_objective
from tests.methods.examples import SIZES, VECTORS, inputs
from tests.methods.rank.long import KIND, check_padding_is_silent, check_reader, learned, share_found

SMALL = SIMConfig(item_dim=4, feature_dim=3, hidden=(8,), history=9, kept=3, width=4, batch_size=8)
SOFT = replace(SMALL, search="soft")


@pytest.mark.parametrize(
    ("settings", "sizes", "vectors"),
    [(SMALL, SIZES, None), (SMALL, SIZES, VECTORS), (replace(SMALL, by="item.tags"), SIZES, None),
     (SOFT, SIZES, None), (SOFT, {}, None), (SOFT, {}, VECTORS)],
    ids=["features", "all", "lists", "soft", "soft, none", "soft, vectors"],
)  # fmt: skip
def test_contract(settings, sizes, vectors):
    check_reader(SIM, settings, sizes, vectors)


@pytest.mark.parametrize("settings", [SMALL, SOFT], ids=["hard", "soft"])
def test_padding_is_silent(settings):
    check_padding_is_silent(SIM, settings, SIZES)


@torch.no_grad()
@pytest.mark.parametrize("by", [None, "item.tags"])
def test_hard_search_finds_the_newest_of_the_category(by):
    model, _, lists = learned(SIM, replace(SMALL, by=by), sizes=SIZES)
    assert model.by == (by or "item.colour"), "one code an item before lists, then by name"
    table = getattr(model.fields, model.by.replace(".", "%2E")).view(20, -1).tolist()
    found, items, past = found_by(model, lists)
    several = 0
    for row, history in enumerate(past):
        for place, item in enumerate(items[row]):
            codes = set(table[item]) - {0}
            wanted = [t for t, event in enumerate(history) if event and codes & set(table[event])][::-1][:3]
            got = found.places[row, place][found.there[row, place]]
            assert got.tolist() == wanted
            several += len(wanted) == 3
    assert several > 10


@torch.no_grad()
def test_soft_search_finds_the_largest_products_and_the_newest_of_equal_ones():
    model, _, lists = learned(SIM, SOFT, sizes=SIZES)
    found, items, past = found_by(model, lists)
    fields = model.fields
    table = (torch.cat([fields.items.weight, fields.item(torch.arange(20))], 1) * 2**12).round().long()
    twice = 0
    for row, history in enumerate(past):
        twice += len(set(history) - {0}) < len([event for event in history if event])
        for place, item in enumerate(items[row]):
            score = [int(table[item] @ table[event]) for event in history]
            wanted = sorted((t for t, event in enumerate(history) if event), key=lambda t: (score[t], t))[::-1][:3]
            assert found.places[row, place][found.there[row, place]].tolist() == wanted
    assert twice > 5, "histories with an item had twice"


def test_soft_search_is_without_a_gradient_and_reading_is_not():
    model, made, _ = learned(SIM, SOFT, sizes=SIZES)
    check_objective(made.objectives[0], model, made.batches.epoch(0)[0])
    state = model.user(made.batches.epoch(0)[0])
    assert not state["own"].requires_grad
    assert state["keys"].requires_grad


def test_of_a_category_new_to_the_user_nothing_is_read():
    model, _, lists = learned(SIM, SMALL, sizes=SIZES)
    found, items, _ = found_by(model, lists)
    read = model._reading(model.user(inputs(model, lists)[0]), model._target(items), items)
    nothing = ~found.there.any(-1)
    assert nothing.any()
    assert not nothing.all()
    torch.testing.assert_close(read[nothing], model.attend.out.bias.expand_as(read[nothing]))


def test_it_learns_what_only_an_old_event_tells():
    small = SIMConfig(item_dim=16, feature_dim=8, hidden=(32,), history=24, kept=8, width=4, batch_size=32, dropout=0.0)
    assert share_found(SIM, small) > 0.9
    assert share_found(SIM, replace(small, history=12), epochs=4) < 0.4, "a reader of the newest half guesses"
    assert share_found(SIM, replace(small, search="soft")) > 0.9


def test_what_is_refused():
    with pytest.raises(ConfigError, match=r'by = "item.size" is no feature of items. They have: .*item.colour'):
        learned(SIM, replace(SMALL, by="item.size"), sizes=SIZES)
    with pytest.raises(ConfigError, match='which have none. Set search = "soft"'):
        learned(SIM, SMALL, sizes={"user.age": 4})
    with pytest.raises(ConfigError, match='is of hard search, and search is "soft"'):
        SIMConfig(search="soft", by=KIND)


def found_by(model, lists):
    user, candidates = inputs(model, lists)
    items = model.fields.known(candidates["items"])
    found = model._found(model.user(user), model._target(items), items)
    return found, items, user["history"].tolist()
