import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from headrace.data.negatives import InBatch, Popular, Uniform

N_ITEMS = 8
COUNTS = torch.tensor([9, 1, 2, 0, 4, 8, 16, 1])
SAMPLERS = {
    "uniform": Uniform(N_ITEMS),
    "popular 1": Popular(COUNTS, 1.0),
    "popular 0.75": Popular(COUNTS, 0.75),
    "popular 0": Popular(COUNTS, 0.0),
    "in batch": InBatch(torch.repeat_interleave(torch.arange(N_ITEMS), COUNTS), N_ITEMS),
}


def stream(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("sampler", SAMPLERS.values(), ids=SAMPLERS)
def test_items_come_as_often_as_log_q_says(sampler):
    n = 20_000
    chance = sampler.log_q(torch.arange(N_ITEMS)).double().exp().numpy()
    assert chance.sum() == pytest.approx(1)
    assert chance[0] == 0, "the unknown item is no negative"
    found = np.bincount(sampler.sample((n // 4, 4), stream()).flatten().numpy(), minlength=N_ITEMS)
    assert not found[chance == 0].any()
    drawn = chance > 0
    assert chisquare(found[drawn], n * chance[drawn] / chance[drawn].sum()).pvalue > 0.001


@pytest.mark.parametrize("sampler", SAMPLERS.values(), ids=SAMPLERS)
def test_a_draw_is_its_streams(sampler):
    assert sampler.sample((50, 3), stream()).equal(sampler.sample((50, 3), stream()))
    assert not sampler.sample((50, 3), stream()).equal(sampler.sample((50, 3), stream(1)))
    assert sampler.sample((0, 3), stream()).shape == (0, 3)
    assert sampler.sample((5, 3), stream()).dtype == torch.int64


def test_alpha_flattens():
    items = torch.tensor([6, 1])
    for alpha, ratio in ((1.0, 16.0), (0.75, 8.0), (0.5, 4.0), (0.0, 1.0)):
        log_q = Popular(COUNTS, alpha).log_q(items)
        assert float((log_q[0] - log_q[1]).exp()) == pytest.approx(ratio)


def test_in_batch_is_as_often_as_chosen():
    in_batch = InBatch(torch.repeat_interleave(torch.arange(N_ITEMS), COUNTS), N_ITEMS)
    torch.testing.assert_close(in_batch.log_q(torch.arange(8)), Popular(COUNTS, 1.0).log_q(torch.arange(8)))
