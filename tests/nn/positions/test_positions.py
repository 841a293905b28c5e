import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from headrace.contracts.errors import DataError
from headrace.nn.positions.absolute import Learned, Sinusoidal
from headrace.nn.positions.relative import RelativeBias, bucket
from headrace.nn.positions.rotary import Rotary, zetas

CPU = torch.device("cpu")


def test_sinusoids():
    found = Sinusoidal(4)(torch.zeros(1, 3, 4), 5)[0, 2]
    assert_close(found, torch.tensor([math.sin(7), math.cos(7), math.sin(7 / 100), math.cos(7 / 100)]))


def test_a_table_ends():
    table = Learned(6, 4)
    assert table(torch.zeros(1, 2, 4), 4)[0].equal(table.table.weight[4:6])
    with pytest.raises(DataError, match="row of 7 tokens came to a learned table of 6"):
        table(torch.zeros(1, 3, 4), 4)


def test_zeta_begins_at_the_published_value():
    assert_close(zetas(64)[0], torch.tensor(0.285714), rtol=0, atol=1e-6)
    assert ((zetas(64) >= 0.2857) & (zetas(64) < 1)).all()


@given(st.sampled_from([0.0, 512.0, 8.0]), st.integers(0, 20), st.integers(1, 20))
def test_the_score_hangs_on_the_distance_alone(decay, apart, shift):
    q, k = torch.randn(2, 1, 1, 1, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    turn = Rotary(8, decay=decay)(64, CPU)
    first, second = ((turn.queries(q, apart + at) * turn.keys(k, at)).sum() for at in (0, shift))
    assert_close(first, second, rtol=1e-4, atol=1e-5)


def test_xpos_is_the_formula_and_rope_is_xpos_without_decay():
    q, k = torch.randn(2, 1, 1, 1, 6, generator=torch.Generator().manual_seed(0))
    n, m, half = 11, 4, torch.arange(3)
    theta, zeta = 10_000.0 ** (-2 * half / 6), (2 * half + 0.4 * 6) / (1.4 * 6)
    for decay, power in ((0.0, torch.ones(3)), (8.0, zeta ** ((n - m) / 8))):
        turn = Rotary(6, decay=decay)(20, CPU)
        whole_q, whole_k = (torch.complex(x[..., :3], x[..., 3:]).flatten() for x in (q, k))
        wanted = ((whole_q * whole_k.conj() * torch.polar(torch.ones(3), (n - m) * theta)).real * power).sum()
        assert_close((turn.queries(q, n) * turn.keys(k, m)).sum(), wanted, rtol=1e-4, atol=1e-5)


def test_powers_stay_in_range_where_rows_are_long():
    turn = Rotary(64, decay=512.0)(32_768, CPU)
    assert all(part.isfinite().all() for pair in (turn.q, turn.k) for part in pair)


def test_a_share_of_a_head_does_not_turn_and_long_rows_take_long_factors():
    x = torch.randn(1, 1, 5, 8, generator=torch.Generator().manual_seed(0))
    assert Rotary(4)(5, CPU).queries(x, 0)[..., 4:].equal(x[..., 4:])
    rotary = Rotary(4, short=(1.0, 1.0), long=(2.0, 4.0), trained=8, longest=64)
    size = math.sqrt(1 + math.log(8) / math.log(8))
    assert_close(rotary(8, CPU).q[0][3], (3 * torch.tensor([1.0, 0.01])).cos() * size)
    assert_close(rotary(9, CPU).q[0][3], (3 * torch.tensor([0.5, 0.0025])).cos() * size)


def test_buckets_are_exact_near_and_logarithmic_far():
    past = -torch.tensor([0, 1, 15, 16, 20, 32, 64, 127, 128, 5000])
    assert bucket(past, 32, 128, both_ways=False).tolist() == [0, 1, 15, 16, 17, 21, 26, 31, 31, 31]
    both = bucket(torch.tensor([-200, -8, -7, 0, 3, 8, 200]), 32, 128, both_ways=True)
    assert both.tolist() == [15, 8, 7, 0, 19, 24, 31]
    assert bucket(torch.arange(5), 32, 128, both_ways=False).tolist() == [0] * 5, "later keys are masked anyway"


def test_a_gate_reads_the_query():
    bias = RelativeBias(2, 4, 8, 16, both_ways=True, gated=True)
    q, at = torch.randn(3, 2, 5, 4, generator=torch.Generator().manual_seed(0)), torch.arange(5)
    torch.nn.init.normal_(bias.u), torch.nn.init.normal_(bias.v), torch.nn.init.normal_(bias.w)
    by_distance = bias.by_distance(at.view(1, -1, 1), at.view(1, 1, -1))
    found = bias(q, by_distance)
    d = bias.table.weight[bucket(torch.tensor(2 - 4), 8, 16, both_ways=True), 1]
    g_u, g_r = (q[0, 1, 4] @ bias.u).sigmoid(), (q[0, 1, 4] @ bias.v).sigmoid()
    assert_close(found[0, 1, 4, 2], d + g_u * d + (1 - g_u) * bias.w[1] * g_r * d)
    each_head = bias.by_distance(at.view(1, -1, 1), at.expand(2, 1, 5))
    assert_close(each_head, by_distance)
