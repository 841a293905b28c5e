from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

from headrace.contracts.config import parse
from headrace.contracts.errors import ConfigError
from headrace.methods.rank.nrms import NRMS, NRMSConfig
from headrace.testing import check_batches, check_objective, check_scorer
from tests.encode.reading import scorers
from tests.encode.reading.scorers import READER
from tests.methods.examples import inputs

SMALL = NRMSConfig(reader=READER, side_dim=4, heads=2, attention_hidden=6, history=5, width=4, batch_size=8)


def learned(settings=SMALL):
    return scorers.learned(NRMS, settings)


@pytest.mark.parametrize(
    "settings",
    [SMALL, replace(SMALL, reader=replace(READER, layers=0)), replace(SMALL, reader=replace(READER, frozen=True))],
    ids=["plain", "embeddings", "frozen"],
)
def test_contract(settings):
    model, made, lists = learned(settings)
    check_batches(made.batches)
    check_objective(made.objectives[0], model, made.batches.epoch(0)[0])
    check_scorer(model, *inputs(model, lists))


@torch.no_grad()
def test_a_user_is_their_items_in_any_order_and_nothing_else():
    model, _, _ = learned()
    model.eval()
    past = torch.tensor([[3, 4, 5, 0, 0], [5, 3, 4, 0, 0], [3, 4, 5, scorers.SILENT, 999], [0, 0, 0, 0, 0]])
    side = model.user({"history": past})["side"]
    assert_close(side[1:3], side[:1].expand(2, -1, -1))
    assert not side[3].any()


@torch.no_grad()
def test_attention_is_torchs_own():
    model, _, _ = learned()
    x, there = torch.randn(3, 6, 8, generator=torch.Generator().manual_seed(0)), torch.arange(6) < torch.tensor([[6], [2], [1]])
    layer, own = torch.nn.MultiheadAttention(8, 2, batch_first=True), type(model.of_tokens)(8, 8, 2)
    layer.in_proj_weight.copy_(own.qkv.weight)
    layer.in_proj_bias.copy_(own.qkv.bias)
    layer.out_proj.weight.copy_(torch.eye(8))
    layer.out_proj.bias.zero_()
    assert_close(own(x, there), layer(x, x, x, key_padding_mask=~there)[0])


def test_it_learns_what_a_word_says():
    assert scorers.share_found(NRMS, replace(SMALL, side_dim=8, batch_size=32)) > 0.9


def test_what_is_refused():
    with pytest.raises(ConfigError, match="vectors = 2, and an item is one"):
        parse(NRMSConfig, {"vectors": 2}, where="rank.nrms")
    with pytest.raises(ConfigError, match="side_dim = 30 is not a multiple of heads = 4"):
        parse(NRMSConfig, {"side_dim": 30}, where="rank.nrms")
