import json
import tomllib
from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest

from headrace.contracts.config import parse
from headrace.contracts.errors import ConfigError, DataError
from headrace.contracts.kinds import Kind
from headrace.data.importing import DataConfig, import_log
from headrace.data.log import Log
from headrace.world.emit import make_log
from headrace.world.live import World
from tests.world.tiny import TINY, logger


def imported(folder, out):
    values = tomllib.loads((folder / "shop.toml").read_text())
    kinds = {name: parse(Kind, kind, where="shop.toml") for name, kind in values["kinds"].items()}
    settings = parse(DataConfig, values["data"], where="shop.toml")
    out.mkdir()
    return import_log(settings, kinds, base=folder, out=out, now=datetime(2026, 1, 1, tzinfo=UTC)), kinds


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_the_importer_sets_no_row_aside(folder, tmp_path):
    summary, kinds = imported(folder, tmp_path / "tables")
    assert all(not reasons for reasons in summary.quarantined.values()), summary.quarantined
    days = json.loads((folder / "world.json").read_text())["days"]
    assert summary.kept["requests"] == sum(day["requests"] for day in days)
    assert summary.kept["candidates"] == sum(day["candidates"] for day in days)
    assert set(summary.kinds) == {"view", "click", "dwell", "purchase", "satisfied"} == set(kinds)


def test_the_log_remembers_what_the_world_remembers(folder, lived, tmp_path):
    """The history of each request, as the project's own tables tell it, is what the world gave its policies."""
    world, outcomes = lived
    _, kinds = imported(folder, tmp_path / "tables")
    log = Log.from_tables(tmp_path / "tables", kinds)
    for outcome in outcomes:
        mine = outcome.requests
        theirs = log.requests(log.users.encode(world.user_ids.gather(mine.users - 1)), mine.at_us)
        assert (theirs.history.lengths == mine.history.lengths).all()
        assert (theirs.history.at_us == mine.history.at_us).all()
        wanted = world.item_ids.gather(mine.history.items - 1).to_list()
        assert log.items.decode(theirs.history.items) == wanted


def test_one_seed_one_log(folder, tmp_path):
    make_log(World(TINY, seed=1), logger(), tmp_path / "again")
    assert contents(tmp_path / "again") == contents(folder)
    make_log(World(TINY, seed=2), logger(), tmp_path / "other")
    assert contents(tmp_path / "other") != contents(folder)


def test_truth_stands_apart(folder):
    files = [path for path in folder.rglob("*.parquet") if path.parent.name != "truth"]
    columns = {name for path in files for name in pl.read_parquet_schema(path)}
    assert not columns & {"logit", "quality", "dwell_s", "click"}
    truth, candidates = (pl.read_parquet(folder / name / "*.parquet") for name in ("truth", "candidates"))
    assert truth.select("request_id", "item_id").equals(candidates.select("request_id", "item_id"))


def test_unbiased_pages_can_be_told(folder):
    """What a judge of rankers reads: the flagged requests' candidates with their true chances."""
    asked = pl.scan_parquet(folder / "requests").filter(pl.col("random")).select("request_id")
    shown = pl.scan_parquet(folder / "candidates").filter(stage="shown").join(asked, on="request_id")
    rows = shown.join(pl.scan_parquet(folder / "truth"), on=["request_id", "item_id"]).collect()
    assert len(rows) == asked.collect().height * TINY.slots
    assert rows["propensity"].min() == pytest.approx(1 / TINY.recalled)


def test_a_folder_with_something_in_it_is_refused(tmp_path):
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "mine.txt").write_text("keep")
    with pytest.raises(ConfigError, match="not empty. Choose another folder with --out"):
        make_log(World(TINY), logger(), tmp_path / "old")
    assert [path.name for path in tmp_path.iterdir()] == ["old"]


def test_what_is_broken_off_leaves_nothing(tmp_path):
    def stop(what, done, total, note=""):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_log(World(TINY), logger(), tmp_path / "log", stop)
    assert list(tmp_path.iterdir()) == []


def test_days_are_logged_in_order_and_of_one_world(tmp_path):
    world = World(TINY, 1)
    first, second = world.step(logger(), regret=False), world.step(logger(), regret=False)
    with pytest.raises(DataError, match="day 1 can't be next. Log day 0"):
        world.append_log(tmp_path, second)
    world.append_log(tmp_path, first)
    other = World(TINY, 2)
    with pytest.raises(DataError, match="another world"):
        other.append_log(tmp_path, other.step(logger(), regret=False))


def test_a_day_logged_again_changes_nothing(tmp_path):
    world = World(TINY, 1)
    world.append_log(tmp_path, first := world.step(logger(), regret=False))
    before = contents(tmp_path)
    world.append_log(tmp_path, first)
    assert contents(tmp_path) == before


def test_logging_late_is_logging_the_same(tmp_path):
    world = World(TINY, 1)
    outcomes = [world.step(logger(), regret=False) for _ in range(3)]
    for outcome in outcomes:
        world.append_log(tmp_path / "late", outcome)
    again = World(TINY, 1)
    for _ in range(3):
        again.append_log(tmp_path / "daily", again.step(logger(), regret=False))
    assert contents(tmp_path / "late") == contents(tmp_path / "daily")
    with pytest.raises(DataError, match="day 0 can't be next. Log day 3"):
        world.append_log(tmp_path / "late", outcomes[0])


def test_only_what_is_known_is_told(tmp_path):
    world = World(TINY, 1)
    world.append_log(tmp_path, world.step(logger(), regret=False))
    assert pl.read_parquet(tmp_path / "items.parquet").height == TINY.old_items
    events = pl.read_parquet(tmp_path / "events" / "*.parquet")
    assert not events.filter(pl.col("at") >= datetime(2024, 1, 2, tzinfo=UTC)).height
    assert np.isin(events["item_id"].unique(), pl.read_parquet(tmp_path / "items.parquet")["item_id"]).all()
