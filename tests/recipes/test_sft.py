import numpy as np
import pytest
import torch

from headrace.recipes import sft
from headrace.recipes.protocol import reproduce
from headrace.recipes.sft import Labelling, SftRunConfig, best_threshold


@pytest.mark.parametrize(
    ("leads", "labels", "wanted"),
    [([1.0, 2.0, 5.0, 6.0], [0, 0, 1, 1], 3.5), ([1.0, 2.0], [1, 1], 0.0), ([1.0, 2.0], [0, 0], 3.0)],
)
def test_the_best_threshold(leads, labels, wanted):
    assert best_threshold(np.array(leads), np.array(labels)) == wanted


def test_smoke_reports_every_claim(tmp_path):
    report = reproduce("sft", "smoke", tmp_path)
    assert [one.claim.than for one in report.claims] == ["tfidf", "untuned_shifted"]
    value = {(arm.arm, arm.metric): arm.value for arm in report.arms}
    assert {arm for arm, _ in value} == set(sft.ARMS)
    assert value["tfidf", "accuracy"] == 1.0, "one word tells"
    assert value["tuned", "cpu_seconds"] > 0
    assert report.unit == "sentences"


def test_tuning_moves_the_answers_and_leaves_the_model_as_it_was(tmp_path):
    labelling = Labelling(sft._SMOKE)
    assert labelling.open(tmp_path) == Labelling(sft._SMOKE).open(tmp_path)
    before = {name: value.clone() for name, value in labelling.read.model.state_dict().items()}
    untuned = labelling._leads(labelling.tested.texts)
    given = labelling.known.take(np.arange(24))
    tuned, _ = labelling._tuned(given, 0)
    assert np.abs(tuned - untuned).max() > 0.1
    assert all(torch.equal(value, before[name]) for name, value in labelling.read.model.state_dict().items())
    assert labelling._leads(labelling.tested.texts).tolist() == untuned.tolist()


def test_seeds_train_on_other_phrases_and_are_tested_on_the_same(tmp_path):
    labelling = Labelling(sft._SMOKE)
    labelling.open(tmp_path)
    assert len(labelling.tested.texts) == 12
    shares = {seed: labelling.run("majority", seed)["accuracy"].tolist() for seed in (0, 1)}
    assert set(shares[0]) <= {0.0, 1.0}
    assert SftRunConfig().phrases == 800
