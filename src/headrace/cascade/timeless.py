"""Settings that need times are refused by name where the split counts steps: leave-last, by user."""

from collections.abc import Iterator, Mapping
from typing import Any

from headrace.cascade.plan import Plan
from headrace.contracts.config import as_dict
from headrace.contracts.errors import ConfigError

_NEED_TIMES = {
    "half_life_days": "an age in days",
    "count_days": "a count over trailing days",
    "window_h": "a label with a window",
    "since": "a rule with a date",
    "until": "a rule with a date",
}


def refuse_times(plan: Plan) -> None:
    """ConfigError for the first of them."""
    if not plan.split.by_steps:
        return
    tasks = {name: as_dict(task) for name, task in plan.tasks.items()}
    for path in _keys({"tasks": tasks, "features": as_dict(plan.features), **plan.settings}):
        *section, key = path
        if key in _NEED_TIMES:
            raise ConfigError(
                f"{plan.where} [{'.'.join(section)}] {key}: {_NEED_TIMES[key]} needs times, and [split] kind = "
                f'"{plan.split.kind}" counts steps in their place. Leave it out, or split by time: kind = "global_temporal".'
            )


def _keys(values: Any, *path: str) -> Iterator[tuple[str, ...]]:
    """Of every setting that says something."""
    if isinstance(values, Mapping):
        for name, value in values.items():
            yield from _keys(value, *path, name)
    elif isinstance(values, list | tuple) and any(isinstance(value, Mapping) for value in values):
        for value in values:
            yield from _keys(value, *path)
    elif values not in (None, [], ()):
        yield path
