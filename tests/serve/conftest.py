import shutil
import tempfile
from pathlib import Path

import pytest
import torch

from headrace.cascade.run import build, open_run
from headrace.contracts.serving import ServeConfig
from headrace.serve.service import Service
from tests.cascade.shop import write_rich_shop, write_shop


@pytest.fixture(scope="module", autouse=True)
def threads():
    """A server of this process sets torch to one thread; tests of other rooms that come after have as many as before."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished build of the small shop, made once for all tests; copy it to change it."""
    folder = tmp_path_factory.mktemp("served")
    build(write_shop(folder), folder / "run", name="shop")
    return folder / "run"


@pytest.fixture(scope="session")
def rich(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same of a shop whose items and users have features, and whose events are counted."""
    folder = tmp_path_factory.mktemp("rich")
    build(write_rich_shop(folder), folder / "run", name="rich")
    return folder / "run"


@pytest.fixture(scope="session")
def pipeline(run: Path):
    return open_run(run)


@pytest.fixture
def service(pipeline, tmp_path: Path):
    """All candidates are logged, and files wait for the end."""
    made = Service(pipeline, tmp_path / "logs", ServeConfig(unshown_share=1.0, rotate_s=1000.0))
    yield made
    made.close()


@pytest.fixture
def own_run(run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(run, tmp_path / "run", ignore=shutil.ignore_patterns("served")))


@pytest.fixture
def redis(monkeypatch: pytest.MonkeyPatch):
    """A real redis-server, empty. It is waited for as long as a busy machine takes; one that was killed refuses at once."""
    from tests.serve.redis_process import RedisProcess

    monkeypatch.setattr("headrace.serve.state.redis_server._WAIT_S", 60.0)
    folder = Path(tempfile.mkdtemp(prefix="redis"))
    made = RedisProcess(folder)
    yield made
    made.stop()
    shutil.rmtree(folder)
