"""What the world verbs do: a size and a page policy made one log."""

from dataclasses import replace
from pathlib import Path

from rich.console import Console

from headrace.cli.drawing import bars, page
from headrace.contracts.errors import ConfigError, listed, nearest
from headrace.flywheel.simulated import logger_of
from headrace.world.emit import make_log
from headrace.world.live import World
from headrace.world.settings import SIZES


def make(size: str, out: Path, *, seed: int, days: int | None, deterministic: bool) -> None:
    if size not in SIZES:
        raise ConfigError(f'"{size}" is not a size of a world.{nearest(size, SIZES)} Sizes: {listed(SIZES)}.')
    config = SIZES[size] if days is None else replace(SIZES[size], days=days)
    if deterministic:
        config = replace(config, temperature=0.0, epsilon=0.0, position_bias=0.0)
    with bars(Console(stderr=True)) as progress:
        lines = make_log(World(config, seed), logger_of(config), out, progress)
    total = {name: sum(line[name] for line in lines) for name in ("requests", "random", "candidates", "impressions", "clicks")}
    page().print(
        f"{out}: {config.days} days, {total['requests']:,} requests ({total['random']:,} answered uniformly and flagged), "
        f"{total['candidates']:,} candidates, {total['impressions']:,} impressions, "
        f"{total['clicks'] / max(total['impressions'], 1):.2%} of them clicked.\n"
        f"What is true of each candidate is in {out / 'truth'}. Next: headrace build {out / 'shop.toml'}",
        markup=False, soft_wrap=True,
    )  # fmt: skip
