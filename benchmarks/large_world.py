"""A world of 100,000 items to serve: its log, and two plans that differ in how the retrievers by vectors look items up.

    python -m benchmarks.large_world OUT                                  # OUT: a new folder; 35 CPU seconds
    headrace build OUT/exact.toml --out EXACT
    headrace build OUT/codes.toml --out CODES                             # pip install 'headrace[faiss]'
    headrace bench serve CODES --mix recommend=95,explain=5 --workers 2   # what it bears; benchmarks.lookups: what is missed

8,000 users, five days, some 18,000 requests; stages as large_world.toml says.
"""

import argparse
from pathlib import Path

from rich.console import Console

from headrace.artifacts.atomic import place
from headrace.cli.drawing import bars
from headrace.flywheel.simulated import logger_of
from headrace.world.emit import make_log
from headrace.world.live import World
from headrace.world.settings import WorldConfig

CONFIG = WorldConfig(users=8000, items=100_000, visits=0.8, days=5)
CODES = "".join(f'\n[retrieve.{name}]\nindex = "codes"\n' for name in ("content", "two_tower"))


def make(out: Path) -> None:
    with bars(Console(stderr=True)) as progress:
        make_log(World(CONFIG, 0), logger_of(CONFIG), out, progress)
    data = (out / "shop.toml").read_text().partition("[retrieve]")[0]  # what the log's columns mean, and how it is split
    stages = Path(__file__).with_suffix(".toml").read_text()
    place(out / "exact.toml", data + stages)
    place(out / "codes.toml", data + stages + CODES)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    make(parser.parse_args().out)
