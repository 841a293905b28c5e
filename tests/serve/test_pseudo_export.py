"""Labels of what nobody saw are learned and not served: a pre-ranker's files are those of one that never had any."""

from dataclasses import replace

import numpy as np

from headrace.contracts.training import TrainConfig
from headrace.encode.semantic_ids.anchors import Anchors
from headrace.encode.semantic_ids.ids import told_apart
from headrace.methods.prerank.gpl import GPL, GPLConfig
from headrace.serve.scorers.accelerate import SCORE, USER
from headrace.serve.scorers.export import export_score, export_user
from headrace.train.trainer import train
from tests.methods.prerank.impressions import some_impressions
from tests.methods.prerank.test_two_tower import SMALL, learned


def labelled(lists):
    items, draw = np.arange(20), np.random.default_rng(0)
    codes = np.where(items[:, None] > 0, np.stack([items % 3, items % 4], 1), -1).astype(np.int32)
    written = draw.integers(0, 3, (25, 4, 2)).astype(np.int32)
    written[0] = -1
    labeler = GPL(GPLConfig(n=3))
    artifacts = {
        "item_vectors": draw.normal(size=(20, 6)).astype(np.float32), "semantic_ids": told_apart(codes, (3, 4)),
        "anchors": Anchors(written, -draw.random((25, 4)).astype(np.float32), 0),
    }  # fmt: skip
    labeler.fit(lists, artifacts)
    return replace(lists, pseudo=labeler.label(lists.requests, lists.unshown))


def test_with_gpl_the_files_are_those_without(tmp_path):
    settings, lists = replace(SMALL, loss="pointwise"), some_impressions()
    models = []
    for mine in (labelled(lists), lists):
        model, made, _ = learned(mine, settings)
        train(made, TrainConfig(epochs=1, device="cpu"), seed=0, artifacts=dict.fromkeys(made.needs))
        models.append(model.eval())
    one, two = models
    assert any((values != two.state_dict()[name]).any() for name, values in one.state_dict().items()), "the labels are learned"
    one.load_state_dict(two.state_dict())  # strict: the same names and shapes
    for name, model in (("with", one), ("without", two)):
        folder = tmp_path / name
        folder.mkdir()
        export_user(model, folder / USER)
        export_score(model, folder / SCORE)
    for file in (USER, SCORE):
        assert (tmp_path / "with" / file).read_bytes() == (tmp_path / "without" / file).read_bytes()
