"""Where keys are asked for, the console asks for one with the scope admin, as a browser's password."""

import shutil

import pytest
from fastapi.testclient import TestClient

from headrace.serve.app import create_app
from headrace.serve.guard.keys import add_key


@pytest.fixture(scope="module")
def guarded(hostile_run, tmp_path_factory):
    run = shutil.copytree(hostile_run, tmp_path_factory.mktemp("guarded") / "run", ignore=shutil.ignore_patterns("served"))
    keys = {scope: add_key(run, scope, [scope]) for scope in ("read", "write", "admin")}
    with TestClient(create_app(run)) as client:
        yield client, keys


@pytest.mark.parametrize("path", ["/console", "/console/explorer?user=u1", "/console/overview/figures"])
def test_an_admins_key_opens_the_console(guarded, path):
    client, keys = guarded
    asked = client.get(path)
    assert asked.status_code == 401
    assert "Basic" in asked.headers["www-authenticate"]
    assert client.get(path, auth=("anybody", keys["admin"])).status_code == 200
    for scope in ("read", "write"):
        assert client.get(path, auth=("anybody", keys[scope])).status_code == 403
    assert client.get(path, auth=("anybody", keys["admin"][:-1])).status_code == 401
