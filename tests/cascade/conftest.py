from pathlib import Path

import pytest

from headrace.cascade.pipeline import Pipeline
from headrace.cascade.run import build, open_run
from tests.cascade.shop import write_shop
from tests.cascade.shown_shop import write_shown_shop


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The TOML of a small shop."""
    return write_shop(tmp_path_factory.mktemp("shop"))


@pytest.fixture(scope="session")
def built(shop: Path) -> Path:
    """The folder of its finished build, made once for all tests."""
    folder = shop.parent / "run"
    build(shop, folder, name="shop")
    return folder


@pytest.fixture(scope="session")
def shown_built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same of a shop with a log of what it showed, whose ranker learns from that."""
    toml = write_shown_shop(tmp_path_factory.mktemp("shown"))
    folder = toml.parent / "run"
    build(toml, folder, name="shown")
    return folder


@pytest.fixture
def pipeline(built: Path) -> Pipeline:
    return open_run(built)
