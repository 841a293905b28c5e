"""What compare prints of rankers and balancers, and what it refuses before it works anything out."""

import pytest

from headrace.cascade.pipeline import Pipeline
from headrace.cascade.rankers import SideBySide
from headrace.cli import comparing
from headrace.cli.comparing import show_comparison
from headrace.contracts.errors import ConfigError
from headrace.contracts.manifest import Manifest
from headrace.evaluate.rows import Row
from tests.cascade.shop import write_shop
from tests.cascade.shown_shop import write_shown_shop

METRICS = ("gauc", "log_loss", "normalized_entropy", "calibration_ratio", "auc", "ece")


def found(metrics=METRICS, **more):
    rows = []
    for task in ("look", "day"):
        for metric in metrics:
            base = Row("rank", "equal", f"global temporal, impressions of {task}", "all", metric, 0.5, 0.4, 0.6, 80)
            rows += [base, Row(**{**vars(base), "method": "famo", "value": 0.7, "baseline": "equal", "diff": 0.2, "diff_lo": 0.1,
                                  "diff_hi": 0.3, "p": 0.001})]  # fmt: skip
    trained = {
        "equal": Manifest("rank", "k", 1, {}, {}, metrics={"epochs": 3, "steps": 1250}, seconds=8.25),
        "famo": Manifest("rank", "l", 1, {}, {}, metrics={}, seconds=0.5),
    }
    return SideBySide(rows, trained, **more)


def shown(monkeypatch, capsys, toml, asked, result):
    monkeypatch.setattr(comparing, "compare_balancers", lambda pipeline, names: result)
    monkeypatch.setattr(comparing, "compare_rankers", lambda pipeline, names: result)
    monkeypatch.setattr(Pipeline, "set_aside", {})
    show_comparison(toml, {"retrieve": None, "rank": None, "balance": None, **asked}, toml.parent / "run", slices=False)
    return capsys.readouterr().out


def test_a_block_a_task_with_differences_and_what_training_took(monkeypatch, capsys, tmp_path):
    out = shown(monkeypatch, capsys, write_shown_shop(tmp_path), {"balance": "famo"}, found())
    blocks = out.split("\n\n")
    assert [block.splitlines()[0] for block in blocks[:2]] == [
        f"shop, global temporal, impressions of {task}, all, n = 80 users" for task in ("look", "day")
    ]
    header, equal, famo = blocks[0].splitlines()[1:4]
    assert header.split()[:5] == ["method", "gauc", "normalized_entropy", "calibration_ratio", "auc"]
    assert "vs equal (auc)" in header
    assert "vs equal (normalized_entropy)" in header
    assert equal.startswith("equal")
    assert famo.count("+0.200 [+0.100, +0.300] *") == 2
    assert "  equal  3 epochs, 1,250 steps, 8.2 s\n  famo   0.5 s" in out


def test_scores_that_are_no_probabilities_are_named(monkeypatch, capsys, tmp_path):
    result = found(("gauc", "auc"), unlikely=["dlrm"])
    out = shown(monkeypatch, capsys, write_shown_shop(tmp_path), {"rank": "dcnv2,dlrm"}, result)
    assert "Scores of dlrm are no probabilities (loss is not pointwise), so there are rows of order alone." in out
    assert "calibration_ratio" not in out


def test_nothing_to_compare_on_is_said(monkeypatch, capsys, tmp_path):
    result = SideBySide([], found().trained)
    out = shown(monkeypatch, capsys, write_shown_shop(tmp_path), {"rank": "dcnv2"}, result)
    assert "no impression of the test window can be labelled yet" in out


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"rank": "dcnv2", "balance": "famo"}, "and was given --rank and --balance. Give one of them"),
        ({"retrieve": "ease", "rank": "dcnv2"}, "and was given --retrieve and --rank"),
        ({"rank": " , "}, '--rank is " , ": name one method or more'),
        ({"retrieve": "itemkn"}, '"itemkn" is not a retriever. Did you mean "itemknn"'),
        (
            {"balance": "famo"},
            '"dcnv2" learns no task, so there is nothing to balance. Set learn_from = "impressions", use = one of ',
        ),
    ],
)
def test_what_is_refused(tmp_path, asked, says):
    toml = write_shop(tmp_path, users=4)
    with pytest.raises(ConfigError, match=says):
        show_comparison(toml, {"retrieve": None, "rank": None, "balance": None, **asked}, tmp_path / "run", slices=False)
