"""The network over a plain table: a scorer of lists of one, whose parts are the ranker's."""

import numpy as np
import pytest
import torch

from headrace.nn.perturb import Perturbation
from headrace.nn.seeded import seeded
from headrace.objectives.choice import TASK
from headrace.objectives.lspr import Lspr
from headrace.objectives.pointwise import PointwiseChoice
from headrace.objectives.scr import Scr
from headrace.recipes.rows.dcnv2 import FlatConfig, FlatDCNv2, chances
from headrace.testing import check_objective

SIZES = (4, 3, 5)


def made(rate=0.5, **settings):
    with seeded(0, "flat"):
        return FlatDCNv2(FlatConfig(dim=3, hidden=(4,), **settings), SIZES, rate=rate)


def batch(rows=6):
    draw = torch.Generator().manual_seed(0)
    codes = torch.stack([torch.randint(size, (rows,), generator=draw) for size in SIZES], 1)
    label = (torch.rand(rows, 1, generator=draw) < 0.5).float()
    return {"codes": codes, "items": torch.ones(rows, 1, dtype=torch.int64), "label": label}


@pytest.mark.parametrize(
    "objective",
    [
        PointwiseChoice(TASK),
        Lspr(PointwiseChoice(TASK), Perturbation("embedding", 0.1), 0.5),
        Lspr(PointwiseChoice(TASK), Perturbation("input", 0.0, 0.3), 0.5),
        Scr(PointwiseChoice(TASK), TASK, Perturbation("hidden", 0.1)),
    ],
    ids=["plain", "embedding", "input", "hidden"],
)
def test_the_products_objectives_train_it(objective):
    check_objective(objective, made(), batch())


def test_before_it_has_learned_it_says_about_the_rate():
    model, given = made(rate=0.06), batch(200)
    with torch.no_grad():
        model.head.weight.zero_()
    assert chances(model, given["codes"].numpy()) == pytest.approx(0.06)


def test_each_field_has_codes_of_its_own():
    """The same code in two fields is two rows of the table, and every row belongs to one field."""
    model = made()
    rows = torch.cat([torch.arange(size) + first for size, first in zip(SIZES, model.first.tolist(), strict=True)])
    assert torch.equal(rows, torch.arange(sum(SIZES)))
    one, other = np.array([[1, 1, 1]]), np.array([[1, 1, 2]])
    before = chances(model, one), chances(model, other)
    with torch.no_grad():
        model.embedding.weight[SIZES[0] + SIZES[1] + 2] += 1.0
    assert chances(model, one) == before[0]
    assert chances(model, other) != before[1]


def test_chances_do_not_hang_on_dropout_or_on_who_else_is_asked():
    model, codes = made(dropout=0.5), batch(50)["codes"].numpy()
    model.train()
    whole = chances(model, codes)
    assert np.array_equal(whole, chances(model, codes))
    assert chances(model, codes[7:8]) == pytest.approx(whole[7:8], rel=1e-6)
