"""A server that is started for it, and loaded a moment."""

import json

import pytest
from typer.testing import CliRunner

from headrace.cli.main import app
from headrace.contracts.errors import ConfigError
from headrace.serve.bench.started import started
from headrace.serve.bench.steps import _fresh


def test_bench_serve_measures_and_leaves_the_run_as_it_was(run, tmp_path):
    before = sorted(run.rglob("*"))
    beside = set(run.parent.iterdir())
    out = tmp_path / "bench.json"
    done = CliRunner().invoke(
        app, ["bench", "serve", str(run), "--rates", "20", "--seconds", "2", "--limit-ms", "25000", "--out", str(out)]
    )
    assert done.exit_code == 0, done.output
    found = json.loads(out.read_text())
    (step,) = found["steps"]
    assert step["cpu_ms_a_request"] > 0
    assert found["held_per_s"] == 20
    assert step["routes"]["recommend"]["p99_ms"] > 0
    assert step["stages"]["whole"]["answers"] >= step["routes"]["recommend"]["requests"]
    assert found["event_to_answer"]["never"] == 0
    assert found["weight_after"]["rss_mb"] > 50
    assert "Held: 20 a second" in done.output
    assert sorted(run.rglob("*")) == before
    assert set(run.parent.iterdir()) == beside


def test_a_server_that_does_not_start_says_why(tmp_path):
    (tmp_path / "run").mkdir()
    with pytest.raises(ConfigError, match="did not start"), started(tmp_path / "run"):
        pass


def test_a_url_needs_a_build_to_ask_about():
    done = CliRunner().invoke(app, ["bench", "serve", "http://127.0.0.1:1"])
    assert "--run" in str(done.exception)


def test_where_no_page_ever_knew_of_an_event_the_result_is_json_all_the_same():
    assert json.loads(json.dumps(_fresh([None]), allow_nan=False)) == {
        "events": 1, "never": 1, "p50_ms": None, "worst_ms": None,
    }  # fmt: skip
