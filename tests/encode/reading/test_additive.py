import torch
from torch.testing import assert_close

from headrace.encode.reading.additive import AdditiveAttention


@torch.no_grad()
def test_it_is_the_formula_over_what_is_there():
    layer = AdditiveAttention(4, 6)
    x = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(0))
    there = torch.tensor([[1, 1, 1, 1, 1], [0, 1, 0, 1, 0], [0, 0, 0, 0, 0]]).bool()
    found = layer(x, there)
    for row in (0, 1):
        kept = x[row][there[row]]
        a = torch.stack([layer.query.weight[0] @ (layer.inside.weight @ one + layer.inside.bias).tanh() for one in kept])
        assert_close(found[row], a.softmax(0) @ kept)
    assert not found[2].any()
    x[~there] = 1e9
    assert_close(layer(x, there), found)
