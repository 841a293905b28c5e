from dataclasses import replace

import pytest
import torch

from headrace.contracts.errors import ConfigError
from headrace.methods.rank.eta import ETA, ETAConfig
from headrace.testing.stored import check_stored
from tests.methods.examples import SIZES, VECTORS, inputs
from tests.methods.rank.long import check_padding_is_silent, check_reader, learned, share_found

SMALL = ETAConfig(item_dim=4, feature_dim=3, hidden=(8,), history=9, kept=3, bits=16, width=4, batch_size=8)


@pytest.mark.parametrize(
    ("sizes", "vectors"), [(SIZES, None), ({}, None), (SIZES, VECTORS)], ids=["features", "none", "all"]
)  # fmt: skip
def test_contract(sizes, vectors):
    check_reader(ETA, SMALL, sizes, vectors)


def test_padding_is_silent():
    check_padding_is_silent(ETA, SMALL, SIZES)


@torch.no_grad()
def test_it_finds_the_events_of_nearest_bits():
    model, _, lists = learned(ETA, SMALL, sizes=SIZES)
    user, candidates = inputs(model, lists)
    state, items = model.user(user), candidates["items"]
    found = model._found(state, model._target(items), items)
    table = model._bits(torch.arange(20)).tolist()
    tied = 0
    for row, history in enumerate(user["history"].tolist()):
        for place, item in enumerate(items[row].tolist()):
            far = [sum(a != b for a, b in zip(table[item], table[event], strict=True)) for event in history]
            wanted = sorted((t for t, event in enumerate(history) if event), key=lambda t: (far[t], -t))
            assert found.places[row, place][found.there[row, place]].tolist() == wanted[:3]
            tied += len(wanted) > 3 and far[wanted[2]] == far[wanted[3]]
    assert tied > 10, "the last that is found is often one of several at its distance"


def test_bits_differ_as_angles_do():
    model, _, _ = learned(ETA, replace(SMALL, bits=256, item_dim=8))
    with torch.no_grad():
        model.fields.items.weight[:3] = torch.eye(8)[:3]
        model.fields.items.weight[3] = torch.eye(8)[:2].sum(0)
        bits = model._bits(torch.arange(4))
    apart = (bits[:, None] != bits).float().mean(-1)
    assert apart[0, 1].item() == pytest.approx(0.5, abs=0.1)
    assert apart[0, 3].item() == pytest.approx(0.25, abs=0.1)
    assert model.planes.equal(check_stored(model).planes)
    assert not model.planes.equal(ETA.from_arrays(model.config, model.arrays()).planes + 1)


def test_it_learns_what_only_an_old_event_tells():
    small = ETAConfig(item_dim=16, feature_dim=8, hidden=(32,), history=24, kept=8, width=4, batch_size=32, dropout=0.0)
    assert share_found(ETA, small) > 0.9


def test_a_history_too_long_to_be_counted_is_refused():
    with pytest.raises(ConfigError, match="a history is 258,111 events at most, and is set to 300,000"):
        ETAConfig(bits=64, history=300_000)
