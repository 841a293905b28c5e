import math

import pytest
import torch

from headrace.nn.body.config import TransformerConfig
from headrace.nn.body.initialise import deepnorm, gamma
from headrace.testing.transformer import made


@pytest.mark.parametrize(("layers", "wanted"), [(6, 1.576), (12, 1.783), (24, 1.968)])
def test_magneto_s_published_scales(layers, wanted):
    assert gamma(layers, 0, "encoder") == pytest.approx(wanted, abs=5e-4)
    assert gamma(0, layers, "decoder") == pytest.approx(wanted, abs=5e-4)


def test_magneto_s_published_scales_of_both_sides():
    assert gamma(6, 6, "encoder") == pytest.approx(1.547, abs=5e-4)
    assert gamma(6, 6, "decoder") == pytest.approx(1.700, abs=5e-4)


def test_deepnorm_s_constants():
    assert deepnorm(8, 0, "encoder") == pytest.approx((2.0, 64**0.25))
    assert deepnorm(0, 8, "decoder") == pytest.approx((2.0, 64**0.25))
    assert deepnorm(16, 16, "encoder") == pytest.approx((0.81 * 16 ** (5 / 16), 16 ** (5 / 16) / 1.15))
    assert deepnorm(16, 27, "decoder") == pytest.approx((3.0, 324**0.25))


def scales(**switches):
    """Each map's largest weight beside Xavier's bound for it."""
    dim = 64
    of = TransformerConfig(
        dim=dim, encoder_layers=6, decoder_layers=6, heads=4, kv_heads=2, cross="standard", position="none", **switches
    )  # fmt: skip
    inside = made(of).decoder.stack.blocks[0].sublayers
    found = {}

    def bound(name, weight):
        found[name] = float(weight.detach().abs().max() / math.sqrt(6 / sum(weight.shape)))

    for name, weight in zip("qkv", inside["attention"].inside.qkv.ways[0].weight.split([64, 32, 32]), strict=True):
        bound(name, weight)
    bound("out", inside["attention"].inside.out.ways[0].weight)
    bound("widen", inside["feed"].inside.widen.ways[0].weight)
    bound("narrow", inside["feed"].inside.narrow.ways[0].weight)
    bound("across v", inside["across"].inside.kv.ways[0].weight[32:])
    return found


def test_which_maps_are_scaled():
    half = math.sqrt(0.5)
    plain = {"q": half, "k": half, "v": half, "out": 1, "widen": 1, "narrow": 1, "across v": half}
    assert scales() == pytest.approx(plain, rel=0.01)
    g, b = gamma(6, 6, "decoder"), deepnorm(6, 6, "decoder")[1]
    wanted = {**plain, "v": half * g, "out": g, "widen": g, "narrow": g}
    assert scales(init="magneto", norm_place="sub") == pytest.approx(wanted, rel=0.01)
    wanted = {"q": half, "k": half, "v": half / b, "out": 1 / b, "widen": 1 / b, "narrow": 1 / b, "across v": half / b}
    assert scales(init="deepnorm", norm_place="post") == pytest.approx(wanted, rel=0.01)


def test_bert_s_spread():
    block = made(TransformerConfig(dim=64, encoder_layers=1, init="bert")).stack.blocks[0]
    assert float(block.sublayers["feed"].inside.widen.ways[0].weight.detach().std()) == pytest.approx(0.02, rel=0.05)


@torch.no_grad()
def test_sub_norms_stand_where_they_should():
    of = TransformerConfig(dim=16, encoder_layers=1, decoder_layers=1, cross="standard", norm_place="sub")
    block = made(of).decoder.stack.blocks[0]
    inside = {name: sublayer.inside for name, sublayer in block.sublayers.items()}
    assert inside["attention"].inner.ways[0].normalized_shape == (16,), "over all heads together"
    assert inside["feed"].inner.ways[0].normalized_shape == (64,)
    assert not hasattr(inside["across"], "inner")
