import shutil
import signal

import pytest

from tests.serve.live.conftest import made_wheel  # noqa: F401  (a fixture)
from tests.serve.workers.started import Several, with_settings


@pytest.fixture(scope="module")
def several(made_wheel, tmp_path_factory):  # noqa: F811
    """Two workers over generation 1; their settings let files be written soon and nothing be exported."""
    folder = tmp_path_factory.mktemp("several")
    run = shutil.copytree(made_wheel, folder / "run")
    settings = {"runtime": "torch", "reload_s": 0.1, "rotate_s": 0.3, "drain_s": 60.0, "guardrails": {"window_s": 0.0}}
    made = Several(with_settings(run, **settings), 2, folder / "stderr")
    yield made
    made.process.send_signal(signal.SIGINT)  # without draining, which workers whose supervisor is killed do
    made.process.communicate(timeout=120)
