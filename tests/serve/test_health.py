import shutil

import pytest

from headrace.contracts.serving import ServeConfig
from headrace.serve.app import create_app
from tests.serve.guard.asking import ask


@pytest.fixture(scope="module")
def app(run, tmp_path_factory):
    folder = shutil.copytree(run, tmp_path_factory.mktemp("health") / "run", ignore=shutil.ignore_patterns("served"))
    app = create_app(folder, ServeConfig(min_free_mb=0.0))
    yield app
    app.state.serving.close()


def test_it_is_ready_with_its_generation(app):
    answer = ask(app, path="/readyz")
    assert answer.status == 200
    assert b'"ready":true' in answer.body
    assert app.state.serving.service.generation.encode() in answer.body


def test_it_says_why_it_is_not(app, monkeypatch):
    serving = app.state.serving

    def broken(_):
        raise ConnectionError

    monkeypatch.setattr(serving.door, "state", "draining")
    monkeypatch.setattr(serving.service.state, "erased", broken)
    monkeypatch.setattr(serving.service, "settings", ServeConfig(min_free_mb=1e12))
    answer = ask(app, path="/readyz")
    assert answer.status == 503
    for reason in ("told to stop", "MB left", "online state does not answer (ConnectionError)"):
        assert reason in answer.body.decode()
    assert ask(app, path="/healthz").status == 200, "the process is well"
