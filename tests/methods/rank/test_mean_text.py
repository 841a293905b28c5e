from dataclasses import replace

import pytest
import torch
from torch.nn.functional import normalize
from torch.testing import assert_close

from headrace.contracts.config import parse
from headrace.contracts.errors import ConfigError
from headrace.methods.rank.mean_text import MeanText, MeanTextConfig
from headrace.testing import check_batches, check_objective, check_scorer
from tests.encode.reading import scorers
from tests.encode.reading.scorers import READER, SILENT
from tests.methods.examples import inputs

SMALL = MeanTextConfig(reader=READER, side_dim=4, history=5, width=4, batch_size=8)
ASKED = replace(SMALL, pool="attention")
PLAIN = replace(SMALL, reader=replace(READER, frozen=True), map=False, side_dim=8, beside=False)
PAST = torch.tensor([[3, 4, 5, 0, 0], [3, 4, 5, SILENT, 999], [0, 0, 0, 0, 0]])


def learned(settings=SMALL):
    return scorers.learned(MeanText, settings)


@pytest.mark.parametrize("settings", [SMALL, ASKED, PLAIN], ids=["mean", "attention", "no map"])
def test_contract(settings):
    model, made, lists = learned(settings)
    check_batches(made.batches)
    check_objective(made.objectives[0], model, made.batches.epoch(0)[0])
    check_scorer(model, *inputs(model, lists))


@torch.no_grad()
def test_without_a_map_it_is_the_likeness_to_the_mean_of_what_was_chosen():
    model, _, _ = learned(PLAIN)
    model.eval()
    ids = model.tokens.long()
    vectors = normalize(model.reader.states(ids, ids > 0).sum(1) / (ids > 0).sum(1, keepdim=True).clamp(min=1), dim=-1)
    candidates = {"items": torch.tensor([[9, 10, 11]] * 3), "retrieval": torch.zeros(3, 3, 6)}
    logits = model.score(model.user({"history": PAST}), candidates).logits["choice"]
    wanted = model.scale * vectors[[9, 10, 11]] @ vectors[[3, 4, 5]].mean(0)
    assert_close(logits, torch.stack([wanted, wanted, torch.zeros(3)]))


@torch.no_grad()
def test_a_candidate_weighs_what_is_like_it():
    model, _, _ = learned(replace(PLAIN, pool="attention"))
    model.eval()
    candidates = {"items": torch.tensor([[3, 10]] * 3), "retrieval": torch.zeros(3, 2, 6)}
    state = model.user({"history": PAST})
    assert state["side"].shape == (3, 5, 8)
    even, sharp = list[torch.Tensor](), list[torch.Tensor]()
    for focus, into in ((0.0, even), (1e4, sharp)):
        model.focus.fill_(focus)
        into.append(model.score(state, candidates).logits["choice"])
    like = model.sides[[3, 10], 0] @ model.sides[[3, 4, 5], 0].T
    for found, wanted in ((even[0], like.mean(1)), (sharp[0], like.max(1).values)):
        assert_close(found[0], model.scale * wanted)
        assert_close(found[1], found[0])
        assert not found[2].any()


@pytest.mark.parametrize("settings", [SMALL, ASKED], ids=["mean", "attention"])
def test_it_learns_what_a_word_says(settings):
    assert scorers.share_found(MeanText, replace(settings, side_dim=8, batch_size=32)) > 0.9


def test_what_is_refused():
    with pytest.raises(ConfigError, match="vectors = 2, and an item is one"):
        parse(MeanTextConfig, {"vectors": 2}, where="rank.mean_text")
    with pytest.raises(ConfigError, match="Set side_dim = 8"):
        learned(replace(SMALL, map=False))
