from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

from headrace.contracts.config import parse
from headrace.contracts.errors import ConfigError
from headrace.methods.rank.naml import NAML, NAMLConfig
from headrace.testing import check_batches, check_objective, check_scorer
from tests.encode.reading import scorers
from tests.encode.reading.scorers import READER, SILENT
from tests.methods.examples import inputs

SMALL = NAMLConfig(reader=READER, side_dim=4, category="item.tags", attention_hidden=6, history=5, width=4, batch_size=8)
TAGS = {"item.tags": 5}


def learned(settings=SMALL, sizes=TAGS):
    return scorers.learned(NAML, settings, sizes=sizes)


@pytest.mark.parametrize(
    ("settings", "sizes"),
    [
        (SMALL, TAGS), (replace(SMALL, category="item.colour"), {"item.colour": 3}), (SMALL, {}),
        (replace(SMALL, reader=replace(READER, frozen=True)), TAGS),
    ],
    ids=["tags", "one code", "text alone", "frozen"],
)  # fmt: skip
def test_contract(settings, sizes):
    model, made, lists = learned(settings, sizes)
    check_batches(made.batches)
    check_objective(made.objectives[0], model, made.batches.epoch(0)[0])
    check_scorer(model, *inputs(model, lists))


@torch.no_grad()
def test_an_item_without_a_text_is_its_categories():
    model, _, _ = learned()
    model.eval()
    ids = torch.tensor([0, 3, SILENT, 19])
    assert (model.more_categories[ids] > 0).any(1).tolist() == [True] * 4, "drawn codes"
    model.more_categories[19] = 0
    sides = model._side(ids)
    assert sides[2].any()
    text = model._pooled(model.reader.states(model.tokens[19:].long(), model.tokens[19:] > 0), model.tokens[19:] > 0)
    assert_close(sides[3], text[0])
    model.more_categories[SILENT] = 0
    assert not model._side(ids)[2].any()


@torch.no_grad()
def test_categories_that_are_not_there_have_no_say():
    model, _, _ = learned()
    model.eval()
    ids = torch.arange(20)
    before = model._side(ids)
    absent = (model.more_categories == 0).any()
    model.kinds.weight[0] = 99.0
    assert absent
    assert_close(model._side(ids), before)


def test_it_learns_what_a_word_says():
    assert scorers.share_found(NAML, replace(SMALL, side_dim=8, batch_size=32)) > 0.9


def test_what_is_refused():
    with pytest.raises(ConfigError, match="vectors = 2, and an item is one"):
        parse(NAMLConfig, {"vectors": 2}, where="rank.naml")
