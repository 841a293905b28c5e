import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from headrace.contracts.errors import DataError, MissingExtra
from headrace.methods.rank.lambdamart import LambdaMART, LambdaMARTConfig
from headrace.testing import check_scorer
from tests.methods.examples import SIZES, VECTORS, featured, inputs, lists_with_a_rule

pytest.importorskip("lightgbm")
SMALL = LambdaMARTConfig(trees=8, leaves=4, rows_per_leaf=2, history=5, width=6)


def fitted(lists=None, settings=SMALL, sizes=SIZES, vectors=None):
    interactions, artifacts = featured(lists, sizes, vectors)
    model = LambdaMART(settings)
    model.fit(interactions, artifacts)
    return model, artifacts["candidate_lists"]


@pytest.mark.parametrize(
    ("sizes", "vectors"), [(SIZES, None), ({}, None), (SIZES, VECTORS), ({}, VECTORS)], ids=["features", "none", "all", "vectors"]
)
def test_contract(sizes, vectors):
    model, lists = fitted(sizes=sizes, vectors=vectors)
    check_scorer(model, *inputs(model, lists))


def test_it_learns_a_rule_that_only_a_feature_tells():
    """The chosen candidate is the one whose colour is 1."""
    lists, place = lists_with_a_rule()
    interactions, artifacts = featured(lists, {"item.colour": 3})
    interactions.features["item.colour"][:] = np.where(np.arange(20) < 5, 1, 2)
    model = LambdaMART(SMALL)
    model.fit(interactions, artifacts)
    user, candidates = inputs(model, lists)
    assert (model.score(model.user(user), candidates).logits["choice"].argmax(1).numpy() == place).mean() == 1


def test_affinity_by_hand():
    """Two of three past items have tag 1, one has tag 3; a candidate of tags 1 and 3 has (2 / 3 + 1 / 3) / 2."""
    model, _ = fitted(sizes={"item.tags": 5})
    tags = torch.zeros(20, 3, dtype=torch.int64)
    tags[1, 0], tags[2, :2], tags[4, :2] = 1, torch.tensor([1, 3]), torch.tensor([1, 3])
    model.codes["item.tags"] = tags
    state = model.user({"history": torch.tensor([[1, 2, 5, 0, 0]])})
    matrix = model._matrix(state, {"items": torch.tensor([[4, 6]]), "retrieval": torch.zeros(1, 2, 6)})
    assert_close(matrix[0, :, -2:], torch.tensor([[1.0, 0.5], [0.0, 0.0]]))


def test_it_is_the_same_twice():
    first, second = (fitted()[0].arrays() for _ in range(2))
    assert first["booster"].tobytes() == second["booster"].tobytes()


def test_padding_is_not_learned_from():
    lists, _ = lists_with_a_rule()
    wider = replace(lists.candidates, items=np.pad(lists.candidates.items, ((0, 0), (0, 3))), scores={
        name: np.pad(score, ((0, 0), (0, 3)), constant_values=np.nan) for name, score in lists.candidates.scores.items()
    })  # fmt: skip
    padded = replace(lists, candidates=wider, label=np.pad(lists.label, ((0, 0), (0, 3))))
    settings = replace(SMALL, width=9)
    (plain, _), (more, _) = fitted(lists, settings, {}), fitted(padded, settings, {})
    real = int(lists.candidates.there.sum())
    for model in (plain, more):
        (first, *_) = model.booster.dump_model()["tree_info"]
        assert first["tree_structure"]["internal_count"] == real


def test_without_a_choice_there_is_nothing_to_learn():
    lists, _ = lists_with_a_rule(5)
    with pytest.raises(DataError, match="no order to learn"):
        fitted(replace(lists, label=np.zeros_like(lists.label)))


def test_the_extra_is_named_where_it_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    with pytest.raises(MissingExtra, match=r"headrace\[lightgbm\]"):
        fitted()


def test_what_a_pair_has_and_how_near_the_texts_are_are_columns():
    model, lists = fitted(vectors=VECTORS)
    user, candidates = inputs(model, lists)
    columns = model._matrix(model.user(user), candidates)[..., -3:]
    for place, name in enumerate(sorted(lists.candidates.features)):
        assert np.array_equal(columns[..., place].numpy(), lists.candidates.features[name])
    past = lists.requests.history.last(SMALL.history)[1]
    unit = VECTORS / np.maximum(np.linalg.norm(VECTORS, axis=1, keepdims=True), 1e-12)
    taste = unit[past[past > 0]].mean(0)
    wanted = unit[lists.candidates.items[1]] @ taste / np.linalg.norm(taste)
    assert columns[1, :, -1].numpy() == pytest.approx(wanted, abs=1e-5)
