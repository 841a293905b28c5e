import numpy as np
import torch

from headrace.contracts.requests import Candidates
from headrace.contracts.training import TrainConfig
from headrace.methods.prerank.ukd import UKD, ClickAdaptive, UKDConfig
from headrace.nn.seeded import seeded
from headrace.testing import check_batches, check_objective, check_pseudo_labeler, check_scorer
from headrace.testing.examples import some_requests
from headrace.train.trainer import train
from tests.methods.examples import featured, inputs
from tests.methods.prerank.impressions import Teacher, some_impressions

SMALL = UKDConfig(item_dim=4, feature_dim=3, hidden=8, head=4, history=5, batch_size=8, unshown=3)


def learned(settings=SMALL):
    interactions, artifacts = featured(some_impressions())
    model = ClickAdaptive(settings)
    with seeded(0, "init"):
        return model, model.learn(interactions, artifacts), artifacts["candidate_lists"]


def test_contract():
    check_pseudo_labeler(UKD(UKDConfig()), some_impressions(), {"teacher": Teacher(apart=0.02)})


def test_contract_of_the_teacher():
    model, made, lists = learned()
    check_batches(made.batches)
    check_objective(made.objectives[0], model, made.batches.epoch(0)[0])
    check_scorer(model, *inputs(model, lists))


def test_where_heads_differ_the_label_weighs_less():
    lists, labeler = some_impressions(n=200), UKD(UKDConfig())
    labeler.fit(lists, {"teacher": Teacher(apart=0.05)})
    unshown = lists.unshown
    found = labeler.label(lists.requests, unshown)
    assert abs(found.weight[unshown.there].mean() - 1) < 1e-5
    weight = labeler.label(some_requests(1), Candidates(np.array([[1, 5, 19]], np.int32), {})).weight[0]
    np.testing.assert_allclose(weight / weight[0], np.exp([0, 0.1**2 * (1 - 25), 0.1**2 * (1 - 361)]), rtol=1e-4)


def test_the_features_hide_what_was_shown_where_they_are_made_to():
    """A rule that tells shown from unshown (an item's number) can be read off the features, unless the gradient is reversed."""
    apart = {}
    for reversal in (0.0, 3.0):
        interactions, artifacts = featured(some_impressions(120), sizes={})
        lists = artifacts["candidate_lists"]
        lists.known[:] = lists.candidates.items > 10
        lists.known[:] &= lists.candidates.there
        lists.label[:] = lists.known & (lists.candidates.items % 2 == 0)
        model = ClickAdaptive(UKDConfig(item_dim=4, hidden=8, head=4, batch_size=32, reversal=reversal))
        with seeded(0, "init"):
            made = model.learn(interactions, artifacts)
        settings = TrainConfig(epochs=25, learning_rate=0.02, device="cpu")
        train(made, settings, seed=0, artifacts=dict.fromkeys(made.needs))
        with torch.no_grad():
            user, candidates = inputs(model.eval(), lists)
            domain = model.score(model.user(user), candidates).logits["domain"].numpy()
        shown, unshown = domain[lists.known], domain[lists.unshown.there]
        apart[reversal] = (shown[:, None] > unshown[None]).mean()
    assert apart[0.0] > 0.95
    assert apart[3.0] < apart[0.0] - 0.1
