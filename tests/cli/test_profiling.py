"""headrace profile as a user meets it."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from headrace.cascade.profile import Agent, Profile, Session
from headrace.cascade.run import build
from headrace.cli.main import app
from headrace.cli.profiling import _moment, _show
from tests.cascade.shop import write_shop
from tests.cli.test_cli import headrace

WOOL = "3-1 (wool, red)"
SOMEBODY = Profile(
    "u[9]", "hisac", datetime(2026, 2, 1, tzinfo=UTC), 5, datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC),
    2, 2.5, [Session(datetime(2026, 1, 2, tzinfo=UTC), ["Sock", "Hat"])], {"clothes": 0.8, "tools": 0.2}, 5,
    [Agent(WOOL, 4, 0.8, 1.2, ["Hat", "Sock"])],
)  # fmt: skip


def test_a_build_is_asked_in_words_and_for_programs(tmp_path: Path) -> None:
    run = str(tmp_path / "run")
    build(write_shop(tmp_path), tmp_path / "run", name="shop")
    ran = CliRunner().invoke(app, ["profile", run, "c3"], catch_exceptions=False)
    assert ran.exit_code == 0
    for words in ("User c3 has 14 events in 14 sessions", "Sessions  14, of 1 events", "Product", "half 0", "has no agents"):
        assert words in ran.stdout
    ran = CliRunner().invoke(app, ["profile", run, "c3", "--at", "2023-11-20", "--json"], catch_exceptions=False)
    said = json.loads(ran.stdout)
    assert said["at"] == "2023-11-20T00:00:00+00:00"
    assert 0 < said["events"] < 14
    assert said["agents"] is None
    assert said["reads_as"] == ""
    assert CliRunner().invoke(app, ["profile", run, "c3", "--at", "yesterday"]).exit_code == 2


def test_agents_are_shown_with_codes_votes_weight_and_items(capsys: pytest.CaptureFixture[str]) -> None:
    _show(SOMEBODY)
    said = capsys.readouterr().out
    assert said.startswith("User u[9] has 5 events in 2 sessions from 2026-01-01 to 2026-01-02, most of all clothes (80%)")
    for words in (
        f"reads them as 1 agent, the strongest {WOOL}.", "Agents of hisac, from the newest 5 events",
        f"{WOOL}: 4 votes (80%), weight 1.20", "Hat; Sock", "2026-01-02 00:00  Sock; Hat",
    ):  # fmt: skip
        assert words in said
    _show(replace(SOMEBODY, agents=[], notes=["hisac has no agent for them."]))
    assert "Hisac has no agent" in capsys.readouterr().out


def test_what_a_ranker_reads_them_as_is_said_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    _show(replace(SOMEBODY, ranker="spar", reads_as="likes [wool], hats"))
    assert "spar reads them as: likes [wool], hats\n" in capsys.readouterr().out
    _show(SOMEBODY)
    assert "reads them as:" not in capsys.readouterr().out


def test_moments() -> None:
    assert _moment("2026-01-31") == datetime(2026, 1, 31, tzinfo=UTC)
    assert _moment("2026-01-31T12:00+01:00") == datetime(2026, 1, 31, 11, tzinfo=UTC)
    with pytest.raises(typer.BadParameter, match='"yesterday" is no moment'):
        _moment("yesterday")


def test_help_teaches() -> None:
    said = headrace("profile", "--help").stdout
    for word in ("Example:  headrace profile", "--at", "--json", "hisac", "spar"):
        assert word in said
