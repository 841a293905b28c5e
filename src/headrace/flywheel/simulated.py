"""The world as traffic: the live generation answers its users for days, A/B tests are run, and the truth is known."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from headrace.artifacts.atomic import place
from headrace.cascade.plan import read_toml
from headrace.contracts.progress import Progress
from headrace.contracts.requests import Int64, Requests
from headrace.contracts.seams import Policy
from headrace.flywheel.experiment.analysis import Analysis, analyse
from headrace.flywheel.experiment.assignment import Arm, assign
from headrace.flywheel.experiment.exposures import exposures_of
from headrace.flywheel.experiment.plan import ExperimentPlan, Guardrail, Metric
from headrace.flywheel.experiment.record import start
from headrace.flywheel.opened import Opened
from headrace.flywheel.settings import FlyConfig
from headrace.methods.page.explore import Explore, ExploreConfig
from headrace.world.live import ArmOf, World
from headrace.world.outcomes import Outcome
from headrace.world.settings import WorldConfig

_JUDGED = 2000  # requests the true worth is read on


class Simulated:
    """A `Traffic`. folder: world.safetensors is the state, log/ the tables. seed: of the world."""

    def __init__(self, config: WorldConfig, folder: Path, settings: FlyConfig, seed: int):
        self.config, self.folder, self.settings, self.seed = config, folder, settings, seed

    @cached_property
    def world(self) -> World:
        path = self.folder / "world.safetensors"
        return World.load(path) if path.is_file() else World(self.config, self.seed)

    def ended(self, cycle: int) -> str:
        return ""

    def advance(self, cycle: int, live: Opened | None, progress: Progress) -> None:
        policy: Policy = logger_of(self.config) if live is None else live.among(self.world)
        until = self._until(f"{cycle:04d}-served", self.settings.first_days if live is None else self.settings.days)
        while self.world.day < until:
            self._day([policy])
            progress(f"serve, cycle {cycle}", self.settings.days - (until - self.world.day), self.settings.days)

    def plan(self, cycle: int, stages: Mapping[str, Any]) -> tuple[dict[str, Any], Path]:
        """The world's own plan of its log so far; a section of the user's stands in place of the world's."""
        log = self.folder / "log"
        return {**read_toml(log / "shop.toml"), **stages}, log

    def trial(self, cycle: int, live: Opened, candidate: Opened, progress: Progress) -> Analysis | None:
        days = self.settings.experiment_days
        if not days:
            return None
        name = f"{cycle:04d}-trial"
        until = self._until(name, days)
        plan = trial_plan(name, self.config.users // 4, self.settings.margin)
        policies = [live.among(self.world), candidate.among(self.world)]
        ids = np.concatenate([[""], self.world.user_ids.to_numpy()]).astype(np.str_)

        def arm_of(requests: Requests) -> Int64:
            return assign(plan.allocation, ids[requests.users]).astype(np.int64)

        while self.world.day < until:
            self._day(policies, arm_of, self.folder / "trials" / name)
            progress(f"A/B test, cycle {cycle}", days - (until - self.world.day), days)
        rows = pl.read_parquet(sorted((self.folder / "trials" / name).glob("*.parquet")))
        first = rows.group_by("unit_id").agg(pl.col("at").min()).sort("unit_id")
        exposures = exposures_of(plan, first["unit_id"].to_numpy().astype(np.str_), first["at"])
        return analyse(plan, start(plan, rows["at"].min()), exposures, rows, last=True)  # type: ignore[arg-type]

    def worth(self, policy: Opened) -> float | None:
        """On the day to come, the same requests for all that are asked before it passes."""
        requests = self.world.requests()
        return float(self.world.utility(policy.among(self.world), requests.take(np.arange(min(len(requests), _JUDGED)))).mean())

    def _until(self, name: str, days: int) -> int:
        """The day a stretch of days ends at, fixed when it begins: a run that was killed must not serve them twice."""
        path = self.folder / "stretches" / name
        if not path.is_file():
            place(path, str(self.world.day + days))
        return int(path.read_text())

    def _day(self, policies: Sequence[Policy], arm_of: ArmOf | None = None, trial: Path | None = None) -> None:
        """Serve a day, log it, and only then let the state on disk move on: killed between, the day is done again, the same."""
        outcome = self.world.step(policies, arm_of=arm_of, regret=False)
        self.world.append_log(self.folder / "log", outcome)
        if trial is not None:
            self._keep(outcome, trial)
        self.world.save(self.folder / "world.safetensors")

    def _keep(self, outcome: Outcome, trial: Path) -> None:
        """What each user of the test did, flagged requests left out: nobody's arm answered those."""
        path = trial / f"day-{outcome.day:03d}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        kept = ~outcome.random
        users = self.world.user_ids.gather(outcome.requests.users[kept] - 1)
        at = pl.Series(outcome.requests.at_us[kept]).cast(pl.Datetime("us", "UTC"))
        rows = pl.DataFrame({"unit_id": users, "at": at, "clicks": outcome.click[kept].sum(1).astype(np.float64),
                             "utility": outcome.realised[kept]})  # fmt: skip
        making = path.with_name(f".{path.name}")
        rows.write_parquet(making)
        making.rename(path)


def trial_plan(name: str, units: int, margin: float) -> ExperimentPlan:
    """Half the users each: does realised utility rise, and do no fewer users click?"""
    return ExperimentPlan(
        experiment=name,
        control="live",
        units=units,
        arms=(Arm(name="live"), Arm(name="candidate")),
        primary=(Metric(name="utility a user", kind="mean", column="utility"),),
        guardrails=(Guardrail(name="users who click", kind="breadth", column="clicks", margin=margin),),
    )


def logger_of(config: WorldConfig) -> Explore:
    """The world's logging policy: a page drawn slot by slot from what stage 2 scored, exact propensities."""
    settings = ExploreConfig(slots=config.slots, temperature=config.temperature, epsilon=config.epsilon)
    return Explore(settings, policy_id="noisy-top" if config.deterministic else "logger")
