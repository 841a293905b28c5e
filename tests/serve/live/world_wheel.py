"""A run whose generations have calibrated rankers, of a world that knows how likely each click is; and one that is miscalibrated.

Promoted by turns under the world's own users, who look, click or don't: what a guardrail of calibration is held against.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from unittest.mock import patch

import numpy as np

from headrace.cascade.plan import read_toml
from headrace.contracts.requests import Float64
from headrace.contracts.rng import rng
from headrace.flywheel.generations import Generations
from headrace.flywheel.opened import pipeline_of, record
from headrace.flywheel.simulated import logger_of
from headrace.methods.rank.calibrators.platt import Platt
from headrace.serve.messages import Event
from headrace.serve.service import Service
from headrace.world.emit import make_log
from headrace.world.live import World
from headrace.world.settings import DAY_US, START_US, WorldConfig

SHIFT = -2.0
"""In logits: a miscalibrated ranker expects some seventh of the clicks that come."""
SLOTS = 4
WORLD = WorldConfig(users=300, items=200, nearest=60, popular=30, uniform=60, days=5, visits=4.0, ctr=0.3, random_share=1.0)
PLAN = """
[retrieve]
use = ["popularity", "itemknn"]
k = 60

[rank]
use = "dcnv2"
keep = 40
learn_from = "impressions"
task = "click"
calibrate = "platt"

[rank.dcnv2]
loss = "pointwise"
train = { epochs = 3 }

[page]
seen_items = true
[page.explore]
slots = 4
temperature = 0.3
"""


@contextmanager
def shifting(by: float) -> Iterator[None]:
    """Calibrators are fitted as they should be, and moved all the same: what a build makes meanwhile is stored so."""
    fit = Platt.fit

    def moved(self: Platt, logits: Float64, labels: Float64) -> None:
        fit(self, logits, labels)
        self.weights = self.weights + np.array([0.0, by])

    with patch.object(Platt, "fit", moved):
        yield


GENERATIONS = {"sound": 0.0, "sound too": 0.0, "shifted": SHIFT}
"""Each from a seed of its own."""


def make_wheel(folder: Path, world: World) -> Path:
    """The run: its generations in the order of GENERATIONS, the first of them live."""
    make_log(world, logger_of(world.config), folder / "log")
    plan = (folder / "log" / "shop.toml").read_text().partition("[retrieve]")[0].replace("seed = 0", "seed = {seed}")
    ledger = Generations(folder / "run")
    for seed, (name, by) in enumerate(GENERATIONS.items()):
        toml = folder / "log" / f"{name}.toml"
        toml.write_text(plan.format(seed=seed) + PLAN)
        kept = record(read_toml(toml), str(toml), toml.parent)
        with shifting(by):
            pipeline = pipeline_of(kept, folder / "run" / "store")
            ledger.add(pipeline.generation.key, plan=kept, verdict={"says": name})
    ledger.promote(1, "the first")
    return folder / "run"


@dataclass
class Visitors:
    """They come to whoever answers; whether they click is the truth's to say."""

    world: World
    seed: int = 0
    came: int = 0

    def visit(self, service: Service, times: int) -> None:
        draw = rng(self.seed, "visitors", self.came)
        names, items = self.world.user_ids.to_list(), {one: n + 1 for n, one in enumerate(self.world.item_ids.to_list())}
        at_us = np.array([START_US + (self.world.config.days - 1) * DAY_US])
        looked = self.world.truth.examination(SLOTS)
        for user in draw.integers(1, len(names) + 1, times).tolist():
            self.came += 1
            request_id = f"{self.seed} {self.came}"
            shown = [one.item_id for one in service.recommend(names[user - 1], request_id).page]
            numbers = np.array([[items[one] for one in shown]], np.int32)
            chance = self.world.truth.chances(np.array([user], np.int32), numbers, at_us).click[0] * looked[: len(shown)]
            clicked = [one for one, yes in zip(shown, draw.random(len(shown)) < chance, strict=True) if yes]
            told = {"user_id": names[user - 1], "at": datetime.now(UTC), "kind": "click", "request_id": request_id}
            if clicked:
                service.receive([Event(item_id=one, event_id=f"{request_id} {one}", **told) for one in clicked])
