"""The wheel turns for real in a small world; killed at every one of its writes, it ends where the unbroken one does."""

import json
import os
import shutil
import subprocess
import sys

import polars as pl
import pytest
import torch

from headrace.artifacts.atomic import place
from headrace.contracts.errors import ConfigError
from headrace.flywheel.evidence import offline, replayed
from headrace.flywheel.generations import Generations
from headrace.flywheel.loop import cycles_of, fly
from headrace.flywheel.opened import Opened, open_live, opened, pipeline_of
from headrace.flywheel.report import charts, html, text
from tests.flywheel.small import TOML


@pytest.fixture(scope="module")
def toml(tmp_path_factory):
    path = tmp_path_factory.mktemp("plan") / "shop.toml"
    path.write_text(TOML)
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory, toml):
    """Three generations, the third broken on purpose."""
    folder = tmp_path_factory.mktemp("fly") / "run"
    fly(toml, folder, generations=3, drills=[3])
    return folder


def without_seconds(cycles):
    """Latency is of a clock."""
    return [{name: value for name, value in vars(one).items() if name != "seconds"} for one in cycles]


def test_each_cycle_makes_one_generation_and_the_gates_say_why(run):
    first, second, third = cycles_of(run)
    assert (first.live, first.promoted, first.decisions) == (0, True, {})
    assert second.live == 1
    assert {"shadow", "offline", "style", "off_policy", "experiment"} == set(second.decisions)
    assert all(seen["reason"] for seen in second.decisions.values())
    assert [one.number for one in Generations(run).all()] == [1, 2, 3]
    assert all(one.worth is not None and one.worth > 0 for one in (first, second, third))


def test_a_release_that_all_required_gates_pass_is_live(run):
    second = cycles_of(run)[1]
    blocked = [name for name, seen in second.decisions.items() if seen["status"] == "blocked"]
    assert second.promoted == (not blocked)
    assert Generations(run).live_number == (2 if second.promoted else 1)


def test_a_drill_is_judged_and_never_promoted(run):
    third = cycles_of(run)[2]
    assert third.drill
    assert not third.promoted
    assert third.says.startswith("drill, ")


def test_the_log_grows_by_what_was_served_and_says_by_whom(run):
    days = json.loads((run / "world" / "log" / "world.json").read_text())["days"]
    trials = len(list((run / "world" / "trials").glob("*/*.parquet")))
    assert len(days) == 6 + 2 * 2 + trials
    served = pl.read_parquet(run / "world" / "log" / "requests" / "day-006.parquet")
    assert Generations(run).get(1).key in served["policy_id"].to_list()


def test_run_again_it_finds_every_cycle(run, toml, monkeypatch):
    monkeypatch.setattr("headrace.flywheel.loop._Wheel._judge", lambda *_: pytest.fail("a finished cycle was judged again"))
    assert without_seconds(fly(toml, run, generations=3, drills=[3])) == without_seconds(cycles_of(run))


def test_a_turned_ranker_answers_and_orders_the_other_way(run):
    third = Generations(run).get(3)
    kept, store = third.plan, run / "store"
    from headrace.flywheel.drill import Drill

    sound, turned = Opened("sound", pipeline_of(kept, store)), Opened("turned", pipeline_of(kept, store, kind=Drill))
    pages = replayed(turned, sound, 30)
    requests = pages.requests
    scores = sound.cascade.scorings[-1].scorer, turned.cascade.scorings[-1].scorer
    assert scores[1].scorer is not scores[0]
    mine, theirs = sound.cascade.candidates(requests), turned.cascade.candidates(requests)
    assert (mine.items[:, 0] != theirs.items[:, 0]).mean() > 0.9


def test_the_same_generation_is_not_worse_than_itself(run):
    one = opened(run, Generations(run).get(2))
    again = Opened("again", one.pipeline)
    rows = [row for row in offline(again, one) if row.baseline]
    assert rows
    assert all(row.diff == 0 and row.method == "again" for row in rows)


def test_the_live_generation_is_what_a_server_opens(run):
    assert open_live(run).generation.key == Generations(run).live.key  # type: ignore[union-attr]


def test_a_verdict_about_a_generation_that_was_rolled_back_is_not_acted_on(run, toml, tmp_path):
    """Killed between verdict and promotion, and somebody moved the pointer before it went on."""
    folder = tmp_path / "moved"
    shutil.copytree(run, folder)
    ledger = Generations(folder)
    ledger.promote(1, "by hand")
    ledger.promote(3, "by hand")
    (folder / "cycles" / "0002" / "result.json").unlink()
    verdict = folder / "cycles" / "0002" / "verdict.json"
    verdict.write_text(json.dumps(json.loads(verdict.read_text()) | {"promotes": True}))
    second = fly(toml, folder, generations=2)[1]
    assert not second.promoted
    assert second.says == "not promoted: judged against 1, and 3 is live by now"
    assert ledger.live_number == 3


def test_what_was_rolled_back_is_not_promoted_again_by_the_loop(run, toml, tmp_path):
    """Killed between promotion and result, and a server's guardrail rolled it back before it went on."""
    folder = tmp_path / "back"
    shutil.copytree(run, folder)
    ledger = Generations(folder)
    if ledger.live_number != 2:
        ledger.promote(2, "gates passed")
    ledger.rollback("guardrail errors: 12%")
    (folder / "cycles" / "0002" / "result.json").unlink()
    verdict = folder / "cycles" / "0002" / "verdict.json"
    verdict.write_text(json.dumps(json.loads(verdict.read_text()) | {"promotes": True}))
    second = fly(toml, folder, generations=2)[1]
    assert second.says == "not promoted: it was live and was rolled back (guardrail errors: 12%)"
    assert ledger.live_number == 1


def test_another_plan_in_the_same_folder_is_refused(run, tmp_path):
    other = tmp_path / "other.toml"
    other.write_text(TOML.replace("epochs = 2", "epochs = 3"))
    with pytest.raises(ConfigError, match="began with another plan"):
        fly(other, run, generations=4)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ("[gates.shadows]", r'\[gates\] "shadows" is not a gate. Did you mean "shadow"'),
        ("[fly]\nday = 2", r'\[fly\]: "day" is not a key. Did you mean "days"'),
        ("[world]\nuser = 2", r'\[world\]: "user" is not a key. Did you mean "users"'),
        ('[world]\nsize = "smal"', r'"smal" is not a size. Did you mean "small"'),
        ('[world]\n[data]\nevents = "e.csv"', r"\[data\] and \[world\] are both there"),
    ],
)
def test_a_wrong_word_names_the_right_one(tmp_path, wrong, says):
    path = tmp_path / "wrong.toml"
    path.write_text(wrong)
    with pytest.raises(ConfigError, match=says):
        fly(path, tmp_path / "run", generations=1)


def test_the_report_shows_each_gate_and_the_truth(run):
    cycles = cycles_of(run)
    page = html(cycles, "test")
    assert page.count('class="gate ') == sum(len(one.decisions) for one in cycles)
    titles = [one.title for one in charts(cycles)]
    assert titles[0] == "True utility a request"
    assert "the first" in text(cycles)
    assert "drill" in text(cycles)


def test_killed_between_its_test_and_its_verdict_it_says_the_same_of_the_truth(run, toml, tmp_path, monkeypatch):
    """The test took a day, so the day to come is another one by then."""
    folder = tmp_path / "run"

    def killed(path, text):
        if path == folder / "cycles" / "0002" / "verdict.json":
            raise KeyboardInterrupt
        place(path, text)

    monkeypatch.setattr("headrace.flywheel.loop.place", killed)
    with pytest.raises(KeyboardInterrupt):
        fly(toml, folder, generations=2)
    assert list((folder / "world" / "trials").glob("0002-trial/*.parquet"))
    monkeypatch.undo()
    assert without_seconds(fly(toml, folder, generations=2)) == without_seconds(cycles_of(run)[:2])


# The moves are counted in the writes that a run must not lose: what is told of its progress is renamed by a clock.
KILLED = """
import os, sys
from pathlib import Path
left = int(sys.argv[3])
replace, rename = os.replace, os.rename

def counted(move):
    def moved(*names):
        global left
        left -= ".progress" not in str(names[1])
        if left < 0:
            os._exit(9)
        return move(*names)
    return moved

os.replace, os.rename = counted(replace), counted(rename)
from headrace.flywheel.loop import fly
fly(Path(sys.argv[1]), Path(sys.argv[2]), generations=2)
"""


def test_killed_again_and_again_it_ends_with_the_same_generations(run, toml, tmp_path):
    folder, moves, deaths = tmp_path / "run", 25, 0
    environment = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}  # the order of sums is theirs
    for _ in range(40):
        done = subprocess.run([sys.executable, "-c", KILLED, str(toml), str(folder), str(moves)], env=environment, check=False)
        if done.returncode == 0:
            break
        assert done.returncode == 9
        deaths += 1
    assert deaths >= 2
    unbroken = [one for one in Generations(run).all() if one.number <= 2]
    assert [one.key for one in Generations(folder).all()] == [one.key for one in unbroken]
    mine, theirs = cycles_of(folder), cycles_of(run)[:2]
    assert [(one.worth, one.live_worth, one.says) for one in mine] == [(one.worth, one.live_worth, one.says) for one in theirs]
    for name in ("requests", "events"):
        for path in sorted((folder / "world" / "log" / name).glob("*.parquet")):
            assert pl.read_parquet(path).equals(pl.read_parquet(run / "world" / "log" / name / path.name))
    shutil.rmtree(folder)
