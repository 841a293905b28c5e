import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from headrace.contracts.errors import DataError, MissingExtra
from headrace.contracts.rng import seed_of
from headrace.methods.rank.lambdamart import LambdaMART, LambdaMARTConfig
from headrace.testing import check_scorer
from tests.methods.examples import SIZES, VECTORS, featured, inputs, lists_with_a_rule

pytest.importorskip("lightgbm")
SMALL = LambdaMARTConfig(trees=8, leaves=4, rows_per_leaf=2, history=5, width=6)
POINTWISE = replace(SMALL, loss="pointwise", trees=30)


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


@pytest.mark.parametrize("settings", [POINTWISE, replace(SMALL, tune=2), replace(POINTWISE, tune=2)], ids=["p", "tune", "p tune"])
def test_contract_of_probabilities_and_of_what_was_searched_for(settings):
    lists, _ = lists_with_a_rule()
    model, lists = fitted(lists, settings)
    check_scorer(model, *inputs(model, lists))
    assert model.probabilities == (settings.loss == "pointwise")


def test_as_it_comes_it_is_lightgbms_own_lambdarank():
    import lightgbm

    model, lists = fitted()
    known = model._rows(lists)
    parameters = {
        "objective": "lambdarank", "num_leaves": 4, "learning_rate": 0.1, "min_data_in_leaf": 2, "num_threads": 1,
        "seed": seed_of(0) % 2**31, "deterministic": True, "force_row_wise": True, "verbosity": -1,
    }  # fmt: skip
    wanted = lightgbm.train(parameters, lightgbm.Dataset(known.rows, known.labels, group=known.groups), 8)
    assert model.booster.model_to_string() == wanted.model_to_string()


def test_probabilities_are_of_whole_lists_and_hold_on_average():
    """Every fifth request has no choice: its candidates count, so the mean probability is the rate of all of them."""
    model, lists = fitted(settings=POINTWISE)
    user, candidates = inputs(model, lists)
    there = lists.candidates.there
    p = model.score(model.user(user), candidates).logits["choice"].sigmoid().numpy()[there]
    # a Newton step keeps the mean only to first order
    assert p.mean() == pytest.approx(lists.label[there].mean(), rel=0.02)
    assert p.std() > 0.05


def test_of_impressions_only_what_is_known_is_learned_from():
    lists, _ = lists_with_a_rule()
    known = lists.candidates.there & (np.random.default_rng(0).random(lists.label.shape) < 0.4)
    seen = replace(lists, known=known)
    elsewhere = replace(seen, label=np.where(known, lists.label, 1 - lists.label).astype(np.float32))
    first, second = (fitted(one, POINTWISE, {})[0] for one in (seen, elsewhere))
    assert first.booster.model_to_string() == second.booster.model_to_string()
    (tree, *_) = first.booster.dump_model()["tree_info"]
    assert tree["tree_structure"]["internal_count"] == int(known.sum())


def test_a_search_looks_at_the_newest_lists_and_fits_all_of_them():
    """Old choices follow a rule and the newest are drawn: no tree survives the held rows, where the rule held they all do."""
    lists, _ = lists_with_a_rule(400)
    newest = np.lexsort((lists.requests.ids, lists.requests.at_us))[-60:]
    label = lists.label.copy()
    draw = np.random.default_rng(5)
    label[newest] = draw.permuted(label[newest], axis=1)
    rule, broken = (fitted(replace(lists, label=one), replace(POINTWISE, tune=1), {})[0].booster for one in (lists.label, label))
    assert rule.num_trees() > 3 * broken.num_trees()
    assert rule.dump_model()["tree_info"][0]["tree_structure"]["internal_count"] == int(lists.candidates.there.sum())


def test_a_newest_part_without_a_choice_cannot_stop_a_search():
    lists, _ = lists_with_a_rule(40)
    label = lists.label.copy()
    label[np.lexsort((lists.requests.ids, lists.requests.at_us))[-10:]] = 0
    with pytest.raises(DataError, match="newest 15% of the rank window"):
        fitted(replace(lists, label=label), replace(POINTWISE, tune=2))


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
