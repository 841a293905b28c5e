"""The next build reads what several servers wrote, where it lies: one pattern for the folders of all, and the log of before."""

import shutil

import polars as pl

from headrace.contracts.serving import ServeConfig
from headrace.data.importing import import_log
from headrace.data.settings import DataConfig
from headrace.serve.messages import Event
from headrace.serve.service import Service
from tests.serve.redis_process import needs_redis
from tests.serve.test_app import bought

pytestmark = needs_redis


def serve(pipeline, folder, redis, numbers):
    """A server that takes these in and writes what waits, all of it, when it is stopped."""
    service = Service(pipeline, folder / "served", ServeConfig(state="redis", redis_url=redis.url, rotate_s=1000.0))
    sent = [Event(**bought(f"new {number}", "p3", event_id=f"e{number}")) for number in numbers]
    assert service.receive(sent).stored == len(sent)
    rows = [{"item_id": "p3", "title": f"Called {numbers[-1]}"}, {"item_id": f"new {numbers[0]}", "title": "New"}]
    service.shared.catalogue.put(rows, service.shelf.table.rows(["p3"]), service.now_us())
    service.close()


def test_a_pattern_takes_the_folders_of_all_servers(pipeline, tmp_path, redis):
    for name, numbers in (("one", range(5)), ("other", range(5, 12)), ("one", range(12, 14))):
        serve(pipeline, tmp_path / "runs" / name, redis, numbers)
    for table in ("events", "items"):
        assert len({path.parts[-5] for path in tmp_path.glob(f"runs/*/served/{table}/*/*.parquet")}) == 2, "both wrote some"
        (tmp_path / "runs/before/served" / table / "build").mkdir(parents=True)
        shutil.copy(pipeline.tables.path / f"{table}.parquet", tmp_path / "runs/before/served" / table / "build")
    log = DataConfig(events="runs/*/served/events/*/*.parquet", items="runs/*/served/items/*/*.parquet")
    (tmp_path / "out").mkdir()
    summary = import_log(log, pipeline.plan.kinds, base=tmp_path, out=tmp_path / "out")
    before = pl.read_parquet(pipeline.tables.path / "events.parquet")
    assert summary.kept["events"] == len(before) + 14
    assert not any(summary.quarantined["events"].values())
    events = pl.read_parquet(tmp_path / "out" / "events.parquet")
    assert sorted(events.filter(pl.col("user_id").str.starts_with("new"))["event_id"]) == sorted(f"e{n}" for n in range(14))
    rows = pl.read_parquet(tmp_path / "out" / "items.parquet").sort("valid_from")
    assert rows.filter(pl.col("item_id") == "p3")["title"].to_list() == ["Product 3", "Called 4", "Called 11", "Called 13"]
    assert {"new 0", "new 5", "new 12"} <= set(rows["item_id"])
