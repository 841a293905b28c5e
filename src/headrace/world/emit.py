"""A world's log on disk, a day at a time, in bounded memory.

    items.parquet users.parquet     as known by the last day logged
    events/before.parquet           views before day 0; events/day-000.parquet and on: views, clicks and what follows them
    requests/day-000.parquet        candidates/day-000-00.parquet and on
    truth/day-000-00.parquet        the truth about each logged candidate, row for row: for judging, never for learning
    world.json shop.toml            what it is, and a plan that builds it
    world.toml                      the same plan with a ranker of several tasks

A file appears whole. A day is logged once its line is in world.json; logged again, its files get the same bytes.
"""

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from headrace.artifacts.atomic import place, writing
from headrace.contracts.config import as_dict
from headrace.contracts.errors import ConfigError, DataError
from headrace.contracts.progress import Progress, silent
from headrace.contracts.seams import Policy
from headrace.contracts.tables import ITEMS, USERS
from headrace.data.shape import in_shape
from headrace.world.outcomes import Outcome
from headrace.world.plan import plan_of, plan_of_tasks
from headrace.world.settings import DAY_US, START_US
from headrace.world.tables import candidate_frames, outcomes_frame, requests_frame, views_frame

if TYPE_CHECKING:
    from headrace.world.live import World

ABOUT = "world.json"
_SUPPORT = {
    "considered": "the considered candidates: those recalled that have a score of stage2",
    "recalled": "all recalled candidates of the request",
    "own": "what the policy found itself, which is not logged: ask its log_prob",
}


def append_day(folder: Path, world: "World", outcome: Outcome) -> dict[str, Any]:
    """Write one day; returns its line in world.json. Days are logged in order; the last one may be logged again."""
    if outcome.day >= world.day:
        raise ValueError(f"day {outcome.day} is not over in this world: log what its own step returned")
    about = _about(folder, world)
    logged = len(about["days"])
    if outcome.day not in (logged - 1, logged):
        raise DataError(f"{folder} holds {logged} days of this world: day {outcome.day} can't be next. Log day {logged}.")
    day = f"day-{outcome.day:03d}"
    views, happened = world.people.browsing(outcome.day), outcomes_frame(world, outcome)
    rows = 0
    with writing(folder):
        if outcome.day == 0:
            _write(folder / "events" / "before.parquet", views_frame(world, world.people.before(), "before"))
        _write(folder / "events" / f"{day}.parquet", pl.concat([views_frame(world, views, day), happened]).sort("at", "event_id"))
        _write(folder / "requests" / f"{day}.parquet", requests_frame(world, outcome))
        for part, (candidates, truth) in enumerate(candidate_frames(world, outcome)):
            _write(folder / "candidates" / f"{day}-{part:02d}.parquet", candidates)
            _write(folder / "truth" / f"{day}-{part:02d}.parquet", truth)
            rows += len(candidates)
        _write(folder / "items.parquet", in_shape(world.catalogue.frame(world.config, outcome.day), ITEMS))
        _write(folder / "users.parquet", in_shape(world.people.frame(outcome.day), USERS))
    served, shown = outcome.served, outcome.shown > 0
    line = {
        "day": outcome.day, "requests": len(outcome.requests), "random": int(served.random.sum()), "candidates": rows,
        "impressions": int(shown.sum()), "clicks": int(outcome.click.sum()),
        "policies": sorted(set(served.policy_id[~served.random].tolist())),
        "deterministic": sorted(set(served.policy_id[served.deterministic].tolist())),
    }  # fmt: skip
    about["days"] = [*about["days"][: outcome.day], line]
    sure = sorted({name for one in about["days"] for name in one["deterministic"]})
    past_us = world.past.at_us[world.past.at_us < START_US + (outcome.day + 1) * DAY_US]
    plan = plan_of(world.config, past_us, outcome.day + 1, sure)
    place(folder / "shop.toml", plan)
    place(folder / "world.toml", plan_of_tasks(plan))
    place(folder / ABOUT, json.dumps(about, indent=1))
    return line


def make_log(world: "World", policy: Policy, folder: Path, progress: Progress = silent) -> list[dict[str, Any]]:
    """All of a fresh world's days under one policy, in a new folder that appears when they are all there."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f"{folder} is there and not empty. Choose another folder with --out, or delete this one.")
    days = world.config.days
    with writing(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        making = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        lines = []
        for day in range(days):
            lines.append(append_day(making, world, world.step(policy, regret=False)))
            progress("day", day + 1, days)
        making.chmod(0o755)
        with writing(folder):
            os.rename(making, folder)
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return lines


def _about(folder: Path, world: "World") -> dict[str, Any]:
    """What world.json says so far; one of another world is refused."""
    config = as_dict(world.config)
    fresh = {
        "config": config, "seed": world.seed, "offset": world.truth.offset, "support": _SUPPORT,
        "examination": world.truth.examination(world.config.slots).tolist(), "days": [],
    }  # fmt: skip
    path = folder / ABOUT
    if not path.is_file():
        return fresh
    there: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if there["config"] != config or there["seed"] != world.seed:
        raise DataError(f"{folder} holds the log of another world (config or seed differ). Choose another folder.")
    return there


def _write(path: Path, frame: pl.DataFrame) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    making = path.with_name(f".{path.name}.making")
    frame.write_parquet(making, compression="lz4")
    os.replace(making, path)
