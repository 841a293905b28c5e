"""Experiments on the command line: plan, start, analyse, as a user meets them."""

import json

import pytest
from typer.testing import CliRunner

from headrace.cli.main import app
from headrace.contracts.errors import ConfigError
from headrace.flywheel.experiment.plan import read_plan
from tests.cli.test_cli import headrace
from tests.flywheel.experiment.example import logs, plan
from tests.flywheel.experiment.test_plan import TOML


@pytest.fixture
def shop(tmp_path):
    (tmp_path / "shop.toml").write_text(TOML)
    exposures, outcomes = logs(plan(), lift=0.3)
    exposures.write_parquet(tmp_path / "exposures.parquet")
    outcomes.write_parquet(tmp_path / "outcomes.parquet")
    return tmp_path


def test_plan_start_analyse(shop):
    words = ("experiment", "analyse", "exposures.parquet", "outcomes.parquet", "--plan", "shop.toml", "--json", "result.json")
    early = headrace(*words, cwd=shop)
    assert early.returncode == 2
    assert "headrace experiment start" in early.stderr
    assert "sealed in shop.started.json" in headrace("experiment", "start", "shop.toml", cwd=shop).stdout
    ran = headrace(*words, cwd=shop)
    assert ran.returncode == 0, ran.stderr
    for said in ("shop-1, fixed horizon", "complaints", "non-inferior", "new: ship", "before the plan was sealed"):
        assert said in ran.stdout
    assert json.loads((shop / "result.json").read_text())["arms"]["new"]["decision"] == "ship"
    assert len(json.loads((shop / "shop.started.json").read_text())["looks"]) == 1
    (shop / "shop.toml").write_text(TOML.replace("margin = 0.05", "margin = 0.5"))
    changed = headrace(*words, cwd=shop)
    assert changed.returncode == 2
    assert "changed after its start" in changed.stderr


def test_a_second_start_changes_nothing(shop):
    first, second = (CliRunner().invoke(app, ["experiment", "start", str(shop / "shop.toml")]) for _ in range(2))
    assert "sealed in" in first.stdout
    assert "stands as it was" in second.stdout


def test_a_plan_is_sized_and_written(tmp_path):
    words = ("experiment", "plan", "--baseline", "0.04", "--mde", "0.05", "--daily-units", "20000", "--out", "ranker.toml")
    ran = headrace(*words, "--design", "group_sequential", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert "154,302" in ran.stdout  # as any calculator without continuity correction has it
    assert read_plan(tmp_path / "ranker.toml").looks == 5
    again = headrace(*words, cwd=tmp_path)
    assert again.returncode == 2
    assert "may hold a plan that was started" in again.stderr


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--baseline", "1.2", "--mde", "0.1"), "between 0 and 1"),
        (("--baseline", "0.2", "--mde", "-0.1"), "give the size"),
        (("--baseline", "0.2", "--mde", "0.1", "--alpha", "0"), "alpha is 0"),
        (("--baseline", "0.2", "--mde", "0.1", "--daily-units", "0"), "--daily-units"),
        (("--baseline", "0.2", "--mde", "0.1", "--design", "fixd", "--out", "x.toml"), 'Did you mean "fixed"'),
    ],
)
def test_a_size_that_cannot_be_is_refused(words, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=says):
        CliRunner().invoke(app, ["experiment", "plan", *words], catch_exceptions=False)
    assert not list(tmp_path.iterdir())
