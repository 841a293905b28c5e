from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

from headrace.data.rank_inputs import AGES
from headrace.methods.rank.centres import Centres, CentresConfig, by_events, by_time
from tests.methods.examples import SIZES, VECTORS, inputs
from tests.methods.rank.long import check_padding_is_silent, check_reader, learned, share_found

SMALL = CentresConfig(item_dim=4, feature_dim=3, hidden=(8,), history=9, kept=3, width=4, batch_size=8)


@pytest.mark.parametrize("cut", ["events", "time"])
@pytest.mark.parametrize(
    ("sizes", "vectors"), [(SIZES, None), ({}, None), (SIZES, VECTORS)], ids=["features", "none", "all"]
)  # fmt: skip
def test_contract(sizes, vectors, cut):
    check_reader(Centres, replace(SMALL, cut=cut), sizes, vectors)


@pytest.mark.parametrize("cut", ["events", "time"])
def test_padding_is_silent(cut):
    check_padding_is_silent(Centres, replace(SMALL, cut=cut), SIZES)


def test_stretches_of_events():
    there = torch.tensor([[1, 1, 1, 1, 1, 1, 1], [1, 0, 1, 1, 0, 0, 0], [1, 0, 0, 0, 0, 0, 0], [0] * 7]).bool()
    found = by_events(there, 3)
    assert found[0].tolist() == [0, 0, 0, 1, 1, 2, 2]
    assert found[1][there[1]].tolist() == [0, 1, 2], "an unknown item between is no event"
    assert found[2][there[2]].tolist() == [0]
    assert by_events(there[:1], 9)[0].tolist() == [0, 1, 2, 3, 5, 6, 7], "with room for all, each has its own"


def test_stretches_of_time():
    hours = torch.tensor([[100.0, 99.0, 60.0, 30.0, 1.0], [5.0, 5.0, 5.0, 0.0, 0.0]])
    there = torch.tensor([[True] * 5, [True] * 3 + [False] * 2])
    every_hour = torch.log1p(torch.arange(24.0, 0.0, -1.0)).unsqueeze(0)
    assert by_time(every_hour, torch.ones(1, 24).bool(), 23)[0].tolist() == [*range(23), 22], "on the very edges"
    found = by_time(torch.log1p(hours), there, 3)
    assert found[0].tolist() == [0, 0, 1, 2, 2]
    assert found[1][there[1]].tolist() == [0, 0, 0], "all at one moment"


@torch.no_grad()
@pytest.mark.parametrize("cut", ["events", "time"])
def test_centres_are_means_over_their_stretch(cut):
    model, _, lists = learned(Centres, replace(SMALL, cut=cut), sizes=SIZES)
    user, _ = inputs(model, lists)
    hours = torch.rand(user[AGES].shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 1000
    user[AGES] = torch.log1p(hours.sort(descending=True).values).float()
    state, past = model.user(user), model._past(user)
    assert state["read"].shape == (len(lists), 3, 4)
    whole = 0
    for row, history in enumerate(user["history"].tolist()):
        n = sum(event > 0 for event in history)
        at = [float(age) for age in torch.expm1(user[AGES][row, :n].double())]
        for stretch in range(3):
            if cut == "events":
                inside = [t for t in range(n) if t * 3 // n == stretch]
            else:
                span = max(at[0] - at[-1], 1e-6) if n else 0
                inside = [t for t in range(n) if min(int((at[0] - at[t]) / span * 3 + 1e-3), 2) == stretch]
            assert bool(state["there"][row, stretch]) == bool(inside)
            if inside:
                assert_close(state["read"][row, stretch], past[row, inside].mean(0))
                whole += len(inside) > 1
    assert whole > 10


@torch.no_grad()
def test_a_history_that_fits_is_attended_to_event_by_event():
    model, _, lists = learned(Centres, replace(SMALL, kept=9), sizes=SIZES)
    user, candidates = inputs(model, lists)
    state, target = model.user(user), model._target(candidates["items"])
    wanted = model.attend(target, model._past(user), user["history"] > 0)
    assert_close(model.attend(target, state["read"], state["there"]), wanted)


def test_it_learns_what_only_an_old_event_tells():
    small = CentresConfig(item_dim=16, feature_dim=8, hidden=(32,), history=24, kept=8, width=4, batch_size=32, dropout=0.0)
    assert share_found(Centres, small) > 0.9
