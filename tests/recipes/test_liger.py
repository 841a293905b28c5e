import numpy as np
import pytest

from headrace.cascade.item_vectors import texts_at
from headrace.data.cold_items import ColdItems
from headrace.data.log import Log
from headrace.data.ring import write_ring
from headrace.recipes import liger
from headrace.recipes.protocol import reproduce


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    return reproduce("liger", "smoke", tmp_path_factory.mktemp("liger"))


def test_every_part_runs(report):
    arms = {"popularity", "content", "sasrec", "tiger", "dense", "liger"}
    metrics = {*liger.WARM, *liger.COLD, *liger.GAINED}
    assert {(arm.arm, arm.metric) for arm in report.arms} == {(arm, metric) for arm in arms for metric in metrics}
    assert [tested.claim for tested in report.claims] == list(liger.FURTHER)
    users = {arm.metric: arm.n for arm in report.arms}
    assert users[liger.WARM[0]] > users[liger.COLD[0]] > 10, "warm and cold questions are counted apart"


def test_who_knows_no_item_without_events_finds_none(report):
    value = {arm.arm: arm.value for arm in report.arms if arm.metric == liger.COLD[0]}
    assert value["tiger"] == value["sasrec"] == 0
    assert min(value["liger"], value["dense"], value["content"]) > 0


def test_nothing_is_fitted_on_what_is_hidden(tmp_path, monkeypatch):
    """Other words of a hidden item change its own vector at most."""
    write_ring(tmp_path, users=60, steps=10, items=40)
    held = ColdItems(share=0.2).of(Log.from_tables(tmp_path))
    assert held.hidden is not None
    before = liger._texts(held, levels=1, codes=8, dim=8)
    hidden, (texts, known_us) = np.flatnonzero(held.hidden), texts_at(held.log, held.train().cut_us)
    other = [f"{text} and something else" if item in hidden else text for item, text in enumerate(texts)]
    monkeypatch.setattr(liger, "texts_at", lambda log, cut_us: (other, known_us))
    after = liger._texts(held, levels=1, codes=8, dim=8)
    shown = np.flatnonzero(~held.hidden & (held.train().item_counts() > 0))
    assert np.array_equal(before["item_vectors"][shown], after["item_vectors"][shown])
    assert np.array_equal(before["semantic_ids"].codes[shown, :-1], after["semantic_ids"].codes[shown, :-1])
