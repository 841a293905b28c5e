import json
import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.testing import assert_close

from headrace.contracts.errors import ConfigError
from headrace.contracts.rng import seed_of
from headrace.optim.apollo import APOLLO, gaussian
from headrace.optim.state import state_bytes
from headrace.testing import check_optimizer
from headrace.testing.optimizer import BAD

GOLDEN = json.loads((Path(__file__).parent.parent / "golden" / "apollo.json").read_text())
BAD_SETTINGS = {**BAD, "rank": -1, "scaling": "row", "alpha": 0.0, "refresh_every": 0, "growth": 0.5}
MINI: dict[str, Any] = {"rank": 1, "scaling": "tensor", "alpha": math.sqrt(128)}


def drawn(shape, seed):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def stepped(optimizer, parameter, gradients):
    """The parameter's updates."""
    updates = []
    for gradient in gradients:
        before = parameter.detach().clone()
        parameter.grad = gradient.clone()
        optimizer.step()
        updates.append(parameter.detach() - before)
    return updates


@pytest.mark.parametrize("own", [{"rank": 2}, MINI, {"rank": 0}, {"rank": 2, "growth": 0.0}])
def test_contract(own):
    check_optimizer(lambda parameters, **asked: APOLLO(parameters, **{**own, **asked}), bad=BAD_SETTINGS)


@pytest.mark.parametrize("case", ["channel", "tensor"])
def test_it_is_apollo_torch_step_by_step(case):
    """apollo-torch 1.0.3 on the same gradients with the same normal draws."""
    wanted, asked = GOLDEN[case], GOLDEN[case]["settings"]
    names = ["tall", "wide"]
    draws = {
        seed_of(0, "apollo", place, refresh): normal
        for place, name in enumerate(names)
        for refresh, normal in enumerate(wanted[f"normal.{name}"])
    }
    weights = {name: nn.Parameter(torch.tensor(GOLDEN["given"][f"weight.{name}"])) for name in names}
    optimizer = APOLLO(
        weights.values(), asked["lr"], weight_decay=asked["weight_decay"], rank=asked["rank"], scaling=asked["scaling"],
        alpha=math.sqrt(asked["scale"]), refresh_every=asked["refresh_every"],
        normal=lambda shape, like, seed: torch.tensor(draws[seed]).view(shape),
    )  # fmt: skip
    for step in range(7):
        for name, weight in weights.items():
            weight.grad = torch.tensor(GOLDEN["given"][f"gradient.{name}"][step])
        optimizer.step()
        for name, weight in weights.items():
            assert_close(weight.detach(), torch.tensor(wanted[f"weights.{name}"][step]), rtol=2e-6, atol=2e-6)


def test_of_full_rank_it_is_adam_by_channels():
    """With the identity for a projection, each row gets the length that Adam's step would have."""
    weight = nn.Parameter(drawn((6, 5), 0))
    identity = lambda shape, like, seed: math.sqrt(4) * torch.eye(4, 5)  # noqa: E731 - r = 4 of 5: the last column is 0 below
    optimizer = APOLLO([weight], lr=1.0, rank=4, growth=0.0, eps=1e-12, normal=identity)
    gradients = [drawn((6, 5), step + 1) * torch.tensor([1.0, 1, 1, 1, 0]) for step in range(5)]
    updates = stepped(optimizer, weight, gradients)
    m, v = torch.zeros(6, 5), torch.zeros(6, 5)
    for step, (gradient, update) in enumerate(zip(gradients, updates, strict=True), 1):
        m, v = 0.9 * m + 0.1 * gradient, 0.999 * v + 0.001 * gradient.square()
        adam = (m / (1 - 0.9**step)) / ((v / (1 - 0.999**step)).sqrt() + 1e-12)
        wanted = -gradient * (adam.norm(dim=1) / gradient.norm(dim=1)).unsqueeze(1)
        assert_close(update, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("rank", "expected"), [(1, 0.0625), (32, 0.354), (64, 0.5)])
def test_the_scale_shrinks_with_the_root_of_the_rank(rank, expected):
    """s of the projection against s of full rank, a gradient drawn anew each step: sqrt(r / m), m = 256."""
    weight, full = nn.Parameter(torch.zeros(512, 256)), nn.Parameter(torch.zeros(512, 256))
    low = APOLLO([weight], lr=1.0, rank=rank, scaling="tensor", growth=0.0)
    gradients = [drawn((512, 256), step) for step in range(6)]
    update = stepped(low, weight, gradients)[-1]
    adam = stepped(torch.optim.AdamW([full], lr=1.0, weight_decay=0.0), full, gradients)[-1]
    assert float(update.norm() / adam.norm()) == pytest.approx(expected, rel=0.15)


@settings(max_examples=15, deadline=None)
@given(lengths=st.lists(st.floats(1e-3, 1e3), min_size=3, max_size=8), scaling=st.sampled_from(["channel", "tensor"]))
def test_an_update_grows_by_a_hundredth_at_most(lengths, scaling):
    """Before the bias correction, which is not the limiter's."""
    weight = nn.Parameter(torch.zeros(6, 4, dtype=torch.float64))
    optimizer = APOLLO([weight], lr=1.0, rank=2, scaling=scaling)
    gradients = [length * drawn((6, 4), step).double() for step, length in enumerate(lengths)]
    updates = stepped(optimizer, weight, gradients)
    plain = [
        float(update.norm()) * (1 - 0.9**step) / math.sqrt(1 - 0.999**step) for step, update in enumerate(updates, 1)
    ]  # fmt: skip
    assert all(after <= 1.01 * before * (1 + 1e-6) + 1e-7 for before, after in pairwise(plain))


@pytest.mark.parametrize("lost", [0, 1])
def test_a_step_without_a_gradient_does_not_stop_a_matrix(lost):
    weight = nn.Parameter(drawn((6, 4), 0))
    gradients = [drawn((6, 4), 1), drawn((6, 4), 2)]
    updates = stepped(APOLLO([weight], rank=2), weight, [*gradients[:lost], torch.zeros(6, 4), *gradients[lost:]])
    assert not updates[lost].any()
    assert updates[2].norm() > 0.1 * updates[1 - lost].norm()


def test_matrices_in_blocks_and_together_move_as_each_alone(monkeypatch):
    """Of several shapes and types; blocks of two rows of the widest, and one."""
    shapes = [((5, 9), torch.float32), ((7, 3), torch.float32), ((4, 6), torch.float64), ((4, 6), torch.bfloat16)]

    def ended():
        weights = [nn.Parameter(drawn(shape, 0).to(dtype)) for shape, dtype in shapes]
        optimizer = APOLLO(weights, rank=2)
        for step in range(3):
            for weight in weights:
                weight.grad = drawn(weight.shape, step + 1).to(weight.dtype)
            optimizer.step()
        return [weight.detach() for weight in weights]

    together = ended()
    monkeypatch.setattr("headrace.optim.apollo._BLOCK", 18)
    for one, other in zip(ended(), together, strict=True):
        assert_close(one, other, rtol=1e-5 if one.dtype != torch.bfloat16 else 1e-2, atol=1e-7)


def test_projections_are_drawn_from_seeds_and_not_kept():
    asked = []

    def normal(shape, like, seed):
        asked.append((shape, seed))
        return gaussian(shape, like, seed)

    weight = nn.Parameter(drawn((6, 4), 0))
    optimizer = APOLLO([weight], rank=2, refresh_every=2, seed=5, normal=normal)
    stepped(optimizer, weight, [drawn((6, 4), step) for step in range(5)])
    assert asked == [((2, 4), seed_of(5, "apollo", 0, refresh)) for refresh in (0, 0, 1, 1, 2)]
    kept = {name: getattr(value, "shape", ()) for name, value in optimizer.state[weight].items()}
    assert kept == {"steps": (), "exp_avg": (6, 2), "exp_avg_sq": (6, 2), "length": ()}
    assert np.array_equal(gaussian((3,), weight, 1), gaussian((3,), weight, 1))


def test_state_is_a_share_of_adamws():
    def held(make):
        matrices = [nn.Parameter(torch.zeros(256, 1024)), nn.Parameter(torch.zeros(1024, 256))]
        optimizer = make(matrices)
        for matrix in matrices:
            matrix.grad = torch.ones_like(matrix)
        optimizer.step()
        return state_bytes(optimizer)

    adamw = held(lambda matrices: torch.optim.AdamW(matrices, fused=True))
    assert adamw == 2 * 4 * (2 * 256 * 1024 + 1)
    assert held(lambda matrices: APOLLO(matrices, rank=64)) == 2 * (4 * (2 * 1024 * 64 + 1) + 8) <= 0.26 * adamw
    assert held(lambda matrices: APOLLO(matrices, **MINI)) == 2 * (4 * (2 * 1024 + 1) + 8) <= 0.01 * adamw


def test_what_is_no_matrix_gets_adamw():
    shapes = ((5,), (2, 8), (3, 4, 5))  # a vector, a matrix no larger than the rank, a kernel
    own, torchs = ([nn.Parameter(drawn(shape, 0)) for shape in shapes] for _ in range(2))
    both = (APOLLO(own, 0.01, rank=2, eps=1e-8, weight_decay=0.1), torch.optim.AdamW(torchs, 0.01, weight_decay=0.1, fused=True))
    for step in range(3):
        for parameters, optimizer in zip((own, torchs), both, strict=True):
            for parameter in parameters:
                parameter.grad = drawn(parameter.shape, step)
            optimizer.step()
    assert all(one.equal(other) for one, other in zip(own, torchs, strict=True))


def test_a_sparse_gradient_is_refused():
    table = nn.Embedding(5, 4, sparse=True)
    table(torch.tensor([1])).sum().backward()
    with pytest.raises(ConfigError, match="a gradient is sparse: expected a dense one"):
        APOLLO(table.parameters(), rank=2).step()


def test_bad_settings_are_named():
    with pytest.raises(ConfigError, match=r"APOLLO: rank is 1.5: expected a whole number, 0 for AdamW"):
        APOLLO([nn.Parameter(torch.zeros(2, 2))], rank=1.5)  # type: ignore[arg-type]
