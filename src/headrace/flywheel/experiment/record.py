"""The plan as it stood at the start, and every look since: `plan.toml` has `plan.started.json` beside it.

    start(plan)            seals the plan: writes its digest, its values and the time
    opened(path, plan)     refuses a plan whose digest is another, and says which values were changed
    with_look(record, …)   one more look: when, at how many units, what it decided

A group-sequential boundary hangs on the looks before it, so they are kept. The file is replaced whole, never half-written.
"""

import json
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from headrace.artifacts.atomic import place
from headrace.contracts.errors import ConfigError, listed
from headrace.flywheel.experiment.plan import ExperimentPlan

FORMAT = 1


@dataclass(frozen=True)
class Look:
    """units: analysed, by arm. decisions: by treatment. last: nothing follows."""

    at: str
    units: dict[str, int]
    decisions: dict[str, str]
    last: bool = False


@dataclass(frozen=True)
class Record:
    """started_at: ISO 8601, UTC."""

    digest: str
    plan: dict[str, Any]
    started_at: str
    looks: tuple[Look, ...] = ()

    @property
    def started(self) -> datetime:
        return datetime.fromisoformat(self.started_at)

    def check(self, plan: ExperimentPlan) -> None:
        """ConfigError where the plan is not the one that was sealed."""
        if plan.digest == self.digest:
            return
        now = plan.values
        changed = [
            f"{key} was {_short(self.plan.get(key))}, is {_short(now.get(key))}"
            for key in sorted({*now, *self.plan})
            if now.get(key) != self.plan.get(key)
        ]
        said = listed(changed) or "its digest"
        raise ConfigError(
            f"{plan.experiment}: the plan was changed after its start on {self.started_at[:10]}: {said}. "
            "Error rates hold for the plan chosen beforehand. Put it back, or begin a new experiment on units not yet exposed."
        )


def start(plan: ExperimentPlan, at: datetime | None = None) -> Record:
    """The sealed plan. at: now, by default."""
    return Record(plan.digest, plan.values, (at or datetime.now(UTC)).astimezone(UTC).isoformat(timespec="seconds"))


def record_path(plan: Path) -> Path:
    """Where the record of a plan's TOML lies."""
    return plan.with_suffix(".started.json")


def opened(path: Path, plan: ExperimentPlan) -> Record:
    """The record at `path`, which must be this plan's."""
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
        if (found := held.pop("format")) != FORMAT:
            raise ConfigError(f"{path}: written in format {found}, this version reads {FORMAT}. Install the one that wrote it.")
        record = Record(**{**held, "looks": tuple(Look(**look) for look in held["looks"])})
        _ = record.started
    except FileNotFoundError:
        raise ConfigError(
            f"{path}: there is no record of a start. `headrace experiment start` seals a plan before its units are exposed."
        ) from None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ConfigError(
            f"{path}: not a record of a start ({error}). Restore it from a copy; it is never written by hand."
        ) from None
    record.check(plan)
    return record


def write(record: Record, path: Path) -> None:
    place(path, json.dumps({"format": FORMAT, **asdict(record)}, indent=1) + "\n")


def with_look(record: Record, look: Look) -> Record:
    """The same units again are the same look, not another one."""
    earlier = tuple(one for one in record.looks if one.units != look.units)
    return replace(record, looks=(*earlier, look))


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
