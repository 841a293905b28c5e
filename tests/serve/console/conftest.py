from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from headrace.cascade.run import build
from headrace.contracts.serving import ServeConfig
from headrace.serve.app import create_app
from tests.serve.console.hostile import write_hostile_shop


@pytest.fixture(scope="session")
def hostile_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    build(write_hostile_shop(folder), folder / "run", name="<b>shop</b>")
    return folder / "run"


@pytest.fixture(scope="session")
def client(hostile_run: Path):
    """Shows pictures; what tests ask of it is counted and logged for all."""
    with TestClient(create_app(hostile_run, ServeConfig(console_images=True))) as client:
        yield client
