"""A pre-ranker that also learns from what nobody saw, end to end: who labels it, on which lists, and what comes of it."""

import json
from dataclasses import replace

import numpy as np
import pytest

from headrace.artifacts.arrays import load_arrays
from headrace.build.graph import Graph
from headrace.cascade.plan import plan_from, read_toml
from headrace.cascade.pseudo_labels import checked
from headrace.cascade.rankers import compare_rankers
from headrace.cascade.run import build, open_run
from headrace.cascade.validation import logits_for, probabilities
from headrace.contracts.errors import ConfigError, DataError
from headrace.contracts.seams import PseudoLabels
from headrace.methods.prerank.unshown_negative import UnshownNegative
from headrace.testing.examples import some_lists
from tests.cascade.shown_shop import write_shown_shop

PRERANK = """
[prerank]
use = "two_tower"
keep = 10
learn_from = "impressions"
task = "look"
[prerank.two_tower]
loss = "pointwise"
pseudo_weight = 3.0
batch_size = 8
train = { epochs = 12, patience = 12, learning_rate = 0.01 }
[prerank.ukd]
train = { epochs = 3, learning_rate = 0.01 }
"""


def write(folder, pseudo):
    toml = write_shown_shop(folder)
    text = toml.read_text()
    start, end = text.index("[prerank]"), text.index("[rank]")
    section = PRERANK.replace('task = "look"', f'task = "look"\npseudo = "{pseudo}"' if pseudo else 'task = "look"')
    toml.write_text(text[:start] + section.lstrip() + text[end:])
    return toml


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """One build with UKDSL."""
    toml = write(tmp_path_factory.mktemp("pseudo"), "ukdsl")
    folder = toml.parent / "run"
    build(toml, folder, name="pseudo")
    return folder


@pytest.fixture
def pipeline(built):
    return open_run(built)


def asking(pipeline, pseudo, **sections):
    """The same shop and store with another labeler, or none."""
    values = read_toml(pipeline.plan.folder / "shop.toml")
    prerank = {**values["prerank"], "pseudo": pseudo}
    if pseudo is None:
        del prerank["pseudo"]
    plan = plan_from({**values, "prerank": prerank, **sections}, where="shop.toml", folder=pipeline.plan.folder)
    return replace(pipeline, plan=plan, graph=Graph(pipeline.graph.store))


def mean_on_unshown(pipeline):
    lists = pipeline.lists("prerank")
    logits = logits_for(pipeline._loaded("prerank"), lists)
    return float(probabilities(logits[lists.unshown.there]).mean())


def test_the_report_says_who_labelled_what(built, pipeline):
    told = json.loads((built / "report.json").read_text())["facts"]["pseudo-labels to prerank"]
    assert told["by"] == "ukdsl"
    fits, _ = pipeline._apart("prerank")
    count = int(fits.unshown.there.sum())
    assert told["labelled"] == f"{count:,} of {count:,} unshown candidates (100.0%) of {len(fits):,} requests"
    assert told["mean weight"].startswith("1.000; they count as ")
    assert "normalized entropy" in told["teacher"]
    features = json.loads((built / "report.json").read_text())["facts"]["features of prerank"]
    assert set(features) == {"history", "items", "retrieval"}
    assert all(one.startswith("shuffled, it moves probabilities of the unshown by 0.") for one in features.values())
    assert "pseudo-labels to prerank" in (built / "report.html").read_text()


def test_a_pre_rankers_probabilities_are_held_against_what_it_was_taught_by(built):
    """On impressions of the test window, as a ranker's are, and apart from the ranker's own rows."""
    rows = [row for row in json.loads((built / "report.json").read_text())["rows"] if "impressions of look" in row["split"]]
    mine = {row["metric"]: row for row in rows if (row["stage"], row["method"]) == ("prerank", "two_tower")}
    assert set(mine) == {"auc", "gauc", "log_loss", "normalized_entropy", "calibration_ratio", "ece"}
    assert {row["method"] for row in rows if row["stage"] == "rank"} == {"dcnv2", "base rate"}
    assert rows[0]["stage"] == "rank", "whose rows a gate reads"


def test_only_lists_that_are_fitted_on_are_labelled_and_by_the_teacher(pipeline):
    labels = pipeline.pseudo_labels("prerank")
    arrays = load_arrays(labels.path / "labels.safetensors")
    fits, held = pipeline._apart("prerank")
    assert arrays["label"].shape == fits.label.shape
    assert len(held) > 0
    assert not arrays["weight"][fits.known].any()
    assert set(labels.manifest.parents) == {"tables", "features", "candidates", "teacher"}
    given = pipeline.graph.store.find("teacher", labels.manifest.parents["teacher"])
    assert given is not None
    assert given.manifest.config["component"] == "dcnv2"
    assert given.manifest.config["cut_us"] == pipeline.window("prerank")[0]


@pytest.mark.parametrize("pseudo", ["distil", "muda", "ukd"])
def test_every_labeler_works_in_a_plan(pipeline, pseudo):
    mine = asking(pipeline, pseudo)
    metrics = mine.pseudo_labels("prerank").manifest.metrics
    assert 0 < metrics["labelled"] <= metrics["unshown"]
    assert 0 <= metrics["mean"] <= 1
    assert metrics["mean weight"] == pytest.approx(1, abs=1e-3)
    assert 0 < metrics["effective"] <= metrics["labelled"] * 1.0001
    assert metrics["teacher"]["normalized entropy"] > 0
    mine.scorer("prerank")
    made = [name.split()[0] for name in mine.graph.made]
    assert made == (["teacher"] if pseudo == "ukd" else []) + ["pseudo", "prerank"], "the ranker's teacher is found again"


def test_the_pre_rankers_mean_moves_to_what_it_is_told(pipeline):
    """Taken for refused, the unshown are predicted far lower than by shown ones alone; a teacher's labels pull to their mean."""
    alone, ukdsl, negative = asking(pipeline, None), pipeline, asking(pipeline, "unshown_negative")
    means = {name: mean_on_unshown(one) for name, one in {"alone": alone, "ukdsl": ukdsl, "negative": negative}.items()}
    told = ukdsl.pseudo_labels("prerank").manifest.metrics["mean"]
    assert means["negative"] < 0.5 * means["alone"]
    assert abs(means["ukdsl"] - told) < abs(means["alone"] - told)


def test_a_plan_without_a_labeler_has_the_keys_it_had(pipeline):
    mine = asking(pipeline, None)
    assert "pseudo" not in mine.scorer("prerank").manifest.parents
    assert "pseudo" not in mine.generation.manifest.config["prerank"]
    assert pipeline.generation.manifest.config["prerank"]["pseudo"] == "ukdsl"


def test_a_calibrated_ranker_teaches_calibrated(pipeline):
    values = read_toml(pipeline.plan.folder / "shop.toml")
    mine = asking(pipeline, "distil", rank={**values["rank"], "calibrate": "platt"})
    labels = mine.pseudo_labels("prerank")
    assert mine.graph.made == ["calibration platt", "pseudo labels distil"]
    assert labels.manifest.metrics["teacher"]["calibration ratio"] == pytest.approx(1, abs=0.05)
    plain = asking(pipeline, "distil").pseudo_labels("prerank")
    assert labels.manifest.metrics["mean"] != plain.manifest.metrics["mean"]


def test_the_ranker_may_learn_from_a_labeler_too(pipeline):
    values = read_toml(pipeline.plan.folder / "shop.toml")
    mine = asking(pipeline, None, rank={**values["rank"], "pseudo": "ukdsl"})
    labels = mine.pseudo_labels("rank")
    assert mine.pseudo_labels("prerank") is None
    assert mine.scorer("rank").manifest.parents["pseudo"] == labels.key


def test_rankers_side_by_side_have_the_plans_own_pre_ranker(pipeline):
    """Though each would teach another one."""
    values = read_toml(pipeline.plan.folder / "shop.toml")
    rank = {**values["rank"], "dlrm": {"loss": "pointwise", "hidden": [8], "train": {"epochs": 1}}}
    mine = asking(pipeline, "ukdsl", rank=rank)
    found = compare_rankers(mine, ["dcnv2", "dlrm"])
    assert {row.method for row in found.rows} == {"dcnv2", "dlrm"}
    assert mine.graph.made == ["rank dlrm"], "nothing before the ranker is made anew"


def test_a_ranker_that_can_not_learn_them_is_not_compared_as_if_it_did(pipeline):
    values = read_toml(pipeline.plan.folder / "shop.toml")
    mine = asking(pipeline, None, rank={**values["rank"], "pseudo": "unshown_negative"})
    with pytest.raises(ConfigError, match=r'\[rank\]: "lambdamart" learns from labels alone'):
        compare_rankers(mine, ["dcnv2", "lambdamart"])


class Wrong(UnshownNegative):
    """A labeler of a plugin's own that gives what it is told to."""

    change: dict[str, float] = {}

    def label(self, requests, unshown):
        right = super().label(requests, unshown)
        label, weight = right.label.copy(), right.weight.copy()
        if len(requests):
            row, place = np.argwhere(unshown.there)[0]
            label[row, place] = self.change.get("label", 0)
            weight *= self.change.get("times", 1)
            weight[row, place] = self.change.get("weight", weight[row, place])
        return PseudoLabels(label, weight)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            {"label": np.nan},
            r'\[prerank\]: the labeler ".*:Wrong" gave a label of nan to request \S+, candidate \d+: expected',
        ),
        ({"label": 1.5}, r"gave a label of 1.5 to request \S+, candidate \d+: expected a number in \[0, 1\]"),
        ({"weight": -1.0}, r"gave a weight of -1 to request"),
        ({"weight": np.nan}, r"gave a weight of nan to request"),
        ({"times": 0.0}, r"gave no candidate of \d+ requests a weight above 0, so nothing would be learned"),
    ],
)
def test_a_labeler_that_gives_what_can_not_be(pipeline, monkeypatch, change, says):
    monkeypatch.setattr(Wrong, "change", change)
    with pytest.raises(DataError, match=says):
        asking(pipeline, "tests.cascade.test_pseudo_labels:Wrong").pseudo_labels("prerank")


def test_labels_of_another_shape_and_beside_their_candidates():
    lists = replace(some_lists(), known=some_lists().label > 0)
    ones = np.ones(lists.label.shape, np.float32)
    with pytest.raises(DataError, match=r"it gave labels of shape \(24, 5\): expected \(24, 6\)"):
        checked(PseudoLabels(ones[:, :5], ones), lists.requests, lists.unshown, "it")
    with pytest.raises(DataError, match=r"it gave a weight beside its candidates of 1 to request request-0"):
        checked(PseudoLabels(ones, ones), lists.requests, lists.unshown, "it")


POINTWISE = {"use": "two_tower", "learn_from": "impressions", "task": "look", "two_tower": {"loss": "pointwise"}}
RANK = {"dcnv2": {"loss": "pointwise"}}


@pytest.mark.parametrize(
    ("prerank", "rank", "says"),
    [
        ({**POINTWISE, "pseudo": "ukdls"}, RANK, r'\[prerank\]: "ukdls" is not known here. Did you mean "ukdsl"'),
        (
            {**POINTWISE, "pseudo": "ukdsl", "learn_from": "proposals", "task": None},
            RANK,
            r'\[prerank\]: pseudo = "ukdsl" labels what was not shown, and learn_from = "proposals"',
        ),
        (
            {**POINTWISE, "pseudo": "ukdsl", "two_tower": {}},
            RANK,
            r"\[prerank\]: pseudo-labels are probabilities, .* Set loss = .pointwise. in \[prerank.two_tower\]",
        ),
        ({**POINTWISE, "pseudo": "ukdsl"}, {}, r"the teacher of pseudo = .ukdsl. is the ranker, .* in \[rank.dcnv2\]"),
        ({**POINTWISE, "pseudo": "ukdsl", "use": None}, RANK, r"is for a pre-ranker to learn, and use is left out"),
        (
            {**POINTWISE, "pseudo": "ukdsl", "ukdsl": {"considred": 3}},
            RANK,
            r'\[prerank.ukdsl\]: "considred" is not a key. Did you mean "considered"',
        ),
        ({**POINTWISE, "ukdls": {}}, RANK, r"\[prerank.ukdls\] is not a component. Did you mean .ukdsl."),
        ({**POINTWISE, "pseudo": "gpl"}, RANK, r"pseudo = .gpl. reads what items are, .* Set \[features\] item_vectors"),
        ({**POINTWISE, "pseudo": "a.b:C"}, RANK, r'"a.b:C" can\'t be imported'),
        ({**POINTWISE, "pseudo": "muda", "muda": {"positive": 0.9}}, RANK, "add up to 1.4"),
        (
            {},
            {"use": "lambdamart", "learn_from": "impressions", "task": "look", "pseudo": "distil"},
            r'\[rank\]: "lambdamart" learns from labels alone, so pseudo = "distil" would say nothing to it',
        ),
        (
            {**POINTWISE, "two_tower": {"loss": "pointwise", "perturb": {"at": "hidden"}}},
            RANK,
            "a product of two vectors has none",
        ),
    ],
)
def test_mistakes_in_the_toml(tmp_path, prerank, rank, says):
    data = {"events": "e.csv", "requests": "r.parquet", "candidates": "c.parquet"}
    prerank = {name: value for name, value in prerank.items() if value is not None}
    values = {"data": data, "tasks": {"look": {"event": "view", "window_h": 2}}, "prerank": prerank, "rank": rank}
    with pytest.raises(ConfigError, match=says):
        plan_from(values, where="shop.toml", folder=tmp_path)
