"""[prerank] pseudo = "gpl" end to end: nothing later than the window's start had a say, and nothing of it is served."""

import numpy as np
import pytest

from headrace.artifacts.arrays import load_arrays
from headrace.build.graph import Graph
from headrace.cascade.anchors import load_anchors
from headrace.cascade.pipeline import Pipeline
from headrace.cascade.plan import plan_from, read_toml
from headrace.cascade.run import planned
from headrace.contracts.errors import ConfigError
from tests.cascade.shown_shop import write_shown_shop

IDS = '\n[features]\nitem_vectors = "tfidf"\n[ids]\nlevels = 2\ncodes = 4\n'
GPL = {"n": 3, "writer_settings": {"dim": 8, "layers": 1, "heads": 1, "train": {"epochs": 1}}}
SCORER = {"loss": "pointwise", "batch_size": 8, "train": {"epochs": 1}}


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    toml = write_shown_shop(tmp_path_factory.mktemp("gpl"))
    toml.write_text(toml.read_text() + IDS)
    return planned(toml, toml.parent / "run")


def asking(shop, pseudo="gpl", **gpl):
    values = read_toml(shop.plan.folder / "shop.toml")
    asked = {"use": "two_tower", "keep": 10, "learn_from": "impressions", "task": "look", "two_tower": SCORER}
    if pseudo:
        asked |= {"pseudo": pseudo, "gpl": {**GPL, **gpl}}
    plan = plan_from({**values, "prerank": asked}, where="shop.toml", folder=shop.plan.folder)
    return Pipeline(plan, Graph(shop.graph.store), shop.sources)


@pytest.fixture(scope="module")
def with_gpl(shop):
    return asking(shop)


def test_it_labels_what_was_not_shown(with_gpl):
    labels = with_gpl.pseudo_labels("prerank")
    assert {"anchors", "semantic_ids", "item_vectors"} <= set(labels.manifest.parents)
    metrics = labels.manifest.metrics
    assert 0 < metrics["labelled"] <= metrics["unshown"]
    assert metrics["mean weight"] == pytest.approx(1, abs=0.3), "of what is left of it after clipping"
    anchors = with_gpl.graph.store.find("anchors", labels.manifest.parents["anchors"])
    assert load_anchors(anchors).as_of_us == with_gpl.window("prerank")[0] - 1
    fits, _ = with_gpl._apart("prerank")
    assert (fits.requests.at_us > load_anchors(anchors).as_of_us).all()


def test_the_control_needs_no_writer(shop):
    labels = asking(shop, anchors="history").pseudo_labels("prerank")
    assert not {"anchors", "semantic_ids"} & set(labels.manifest.parents)
    assert labels.manifest.metrics["labelled"] > 0


def test_nothing_is_added_to_what_is_served(shop, with_gpl):
    """The same arrays of the same shapes, whether it was learned with labels or without; their values differ."""
    one, two = (load_arrays(mine.scorer("prerank").path / "component.safetensors") for mine in (with_gpl, asking(shop, None)))
    assert {name: (values.dtype, values.shape) for name, values in one.items()} == {
        name: (values.dtype, values.shape) for name, values in two.items()
    }
    assert any(not np.array_equal(values, two[name]) for name, values in one.items())


def test_settings_of_the_writer_are_checked_where_they_stand(shop):
    with pytest.raises(ConfigError, match=r"\[prerank.gpl\] writer_settings.*depth"):
        asking(shop, writer_settings={"depth": 2}).pseudo_labels("prerank")
