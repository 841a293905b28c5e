"""[fly] and [world] of the TOML: how the loop turns, and on whom."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from annotated_types import Ge, Gt, Lt

from headrace.contracts.config import as_dict, config, parse
from headrace.contracts.errors import ConfigError, listed, nearest
from headrace.world.settings import SIZES, WorldConfig

SECTIONS = ("fly", "gates", "world")


@config
class FlyConfig:
    """first_days: of the log the first generation is built on; days: served between one generation and the next.

    experiment_days: an A/B test of a candidate that no other gate stopped; 0: none. Of a real log nothing can be served: its own
    next `days` are read instead, and first_share is what the first generation sees.
    replayed: requests both generations answer (shadow, support, style). timed: answers taken for the latency.
    task: whose outcomes are the reward of off-policy estimates; what the ranker learns by default, else the first of [tasks].
    margin: of the A/B test's guardrail, the share of users who click.
    measured: each generation gets the figures of a build, by stage, method and slice; the console shows two side by side.
    """

    first_days: Annotated[int, Gt(2)] = 10
    days: Annotated[int, Gt(0)] = 4
    experiment_days: Annotated[int, Ge(0)] = 2
    first_share: Annotated[float, Gt(0), Lt(1)] = 0.6
    replayed: Annotated[int, Gt(0)] = 500
    timed: Annotated[int, Gt(0)] = 200
    task: str | None = None
    margin: Annotated[float, Gt(0)] = 0.02
    measured: bool = True


@dataclass(frozen=True)
class Flight:
    """A plan's TOML taken apart. stages: the sections a build reads. world: who is served, None on a real log."""

    stages: Mapping[str, Any]
    fly: FlyConfig
    gates: Mapping[str, Any]
    world: WorldConfig | None
    seed: int


def flight(values: Mapping[str, Any], where: str) -> Flight:
    """ConfigError on a wrong key, with the nearest right one."""
    stages = {name: section for name, section in values.items() if name not in SECTIONS}
    world = values.get("world")
    if world is not None and "data" in values:
        raise ConfigError(f"{where}: [data] and [world] are both there. A world makes its own log: keep one of the two.")
    seed = values.get("seed", 0)
    return Flight(
        stages,
        parse(FlyConfig, values.get("fly", {}), where=f"{where} [fly]"),
        values.get("gates", {"required": ["offline", "shadow", "latency"]}),
        None if world is None else _world(world, f"{where} [world]"),
        seed if isinstance(seed, int) else 0,
    )


def _world(section: Mapping[str, Any], where: str) -> WorldConfig:
    """size: what the other keys start from."""
    values = dict(section)
    size = values.pop("size", "small")
    if size not in SIZES:
        raise ConfigError(f'{where}: size = "{size}" is not a size.{nearest(str(size), SIZES)} Sizes: {listed(SIZES)}.')
    return parse(WorldConfig, {**as_dict(SIZES[size]), **values}, where=where)
