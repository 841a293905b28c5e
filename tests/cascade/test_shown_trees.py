"""Tuned LightGBM on what was shown: its scores are probabilities, so it is calibrated and measured as the networks are."""

import pytest

from headrace.cascade.run import build, open_run
from tests.cascade.shown_shop import write_shown_shop

pytest.importorskip("lightgbm")
STAGES = """[retrieve]
use = ["popularity", "itemknn"]
k = 12
[rank]
use = "lambdamart"
learn_from = "impressions"
task = "look"
calibrate = "platt"
[rank.lambdamart]
loss = "pointwise"
tune = 2
trees = 20
rows_per_leaf = 5
"""


def test_tuned_trees_learn_from_impressions_and_are_calibrated(tmp_path):
    toml = write_shown_shop(tmp_path)
    text = toml.read_text()
    toml.write_text(text[: text.index("[retrieve]")] + STAGES + text[text.index("[page.explore]") :])
    report = build(toml, tmp_path / "run", name="trees")
    shown = [row for row in report.measured.rows if "impressions" in row.split]
    value = {(row.method, row.metric): row.value for row in shown}
    assert value["lambdamart, platt", "normalized_entropy"] < 1.1
    assert value["lambdamart", "auc"] > 0.55
    assert open_run(tmp_path / "run").scoring("rank").scorer.booster.num_trees() >= 1
