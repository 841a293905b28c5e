import pytest

from headrace.world.emit import make_log
from headrace.world.live import World
from tests.world.tiny import TINY, logger


@pytest.fixture(scope="session")
def world():
    """Before its first day. Don't step it."""
    return World(TINY, seed=1)


@pytest.fixture(scope="session")
def lived():
    """A world after its days, and what came of each."""
    world = World(TINY, seed=1)
    return world, [world.step(logger()) for _ in range(TINY.days)]


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """The same world's log."""
    made = tmp_path_factory.mktemp("world") / "log"
    make_log(World(TINY, seed=1), logger(), made)
    return made
