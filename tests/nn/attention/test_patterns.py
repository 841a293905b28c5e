import pytest
import torch

from headrace.contracts.errors import ConfigError
from headrace.nn.attention.patterns import BlockPattern


def test_published_densities():
    pattern = BlockPattern(32, 4, 4, 8)
    assert pattern.density(1024) == pytest.approx(0.423, abs=5e-4)
    assert pattern.density(4096) == pytest.approx(0.296, abs=5e-4)


@pytest.mark.parametrize(("stride", "heads"), [(4, 8), (8, 8), (3, 4), (1, 1), (5, 5)])
def test_together_the_heads_keep_every_block(stride, heads):
    pattern = BlockPattern(16, 1, stride, heads)
    number = torch.arange(30)
    kept = pattern.allowed(number.view(1, -1, 1), number.view(1, 1, -1), heads)
    assert torch.equal(kept.any(0), torch.ones(30, 30).tril().bool())
    assert kept.diagonal(dim1=1, dim2=2).all(), "each head keeps its own block"


def test_blocks_that_no_head_keeps_are_refused():
    with pytest.raises(ConfigError, match=r"stride is 16 and heads \(key/value\) 4: 12 of 16"):
        BlockPattern(16, 1, 16, 4)
    assert BlockPattern(16, 1, 16, 4, alike=True).density(640) < 0.2


def test_query_heads_share_their_key_head_s_pattern():
    number = torch.arange(9)
    kept = BlockPattern(1, 1, 2, 2).allowed(number.view(1, -1, 1), number.view(1, 1, -1), 6)
    assert kept[0].equal(kept[2])
    assert not kept[2].equal(kept[3])


def test_sizes_must_be_positive():
    with pytest.raises(ConfigError, match="local is 0"):
        BlockPattern(16, 0, 2, 4)
