"""An experiment on the served traffic: a sealed plan whose arms name generations, each open beside the others.

A unit's arm is a function of its id (`flywheel.experiment.assignment`), so it is the same in every process and after a restart;
who is outside the experiment's span is answered by whatever is live. A promotion changes nothing for those inside.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from headrace.contracts.errors import ConfigError
from headrace.flywheel.experiment.assignment import OUTSIDE, assign
from headrace.flywheel.experiment.plan import ExperimentPlan, read_plan
from headrace.flywheel.experiment.record import Record, opened, record_path
from headrace.serve.service import Service
from headrace.serve.state.lately import Lately
from headrace.serve.state.recent import Assigned, counted


@dataclass(frozen=True)
class Arms:
    """services: by the arm's name."""

    path: Path
    plan: ExperimentPlan
    record: Record
    services: dict[str, Service]

    @classmethod
    def of(cls, path: Path, open_number: Callable[[int], Service]) -> "Arms":
        """open_number: a generation, open. ConfigError where the plan can't be served as it is."""
        plan = read_plan(path)
        record = opened(record_path(path), plan)
        if plan.unit_kind == "session":
            raise ConfigError(
                f'{path}: unit_kind = "session", and requests name no session. A server assigns by "user" or by "request".'
            )
        unnamed = [arm.name for arm in plan.arms if arm.generation is None]
        if unnamed:
            raise ConfigError(
                f'{path}: arm "{unnamed[0]}" says no generation. Name the one that answers for it: [[arms]] generation = 3 '
                "(headrace generations RUN lists them)."
            )
        return cls(path, plan, record, {arm.name: open_number(arm.generation or 0) for arm in plan.arms})

    def assigned(self, user_id: str, request_id: str) -> Assigned | None:
        """None: it is not in the experiment."""
        unit = user_id if self.plan.unit_kind == "user" else request_id
        arm = int(assign(self.plan.allocation, [unit])[0])
        if arm == OUTSIDE:
            return None
        return Assigned(self.plan.experiment, self.plan.allocation.names[arm], unit, self.plan.unit_kind)

    def answers(self, lately: Lately) -> dict[str, int]:
        """By arm, since the server was started, of all its processes."""
        return {name: lately.count(counted(self.plan.experiment, name)) for name in self.services}
