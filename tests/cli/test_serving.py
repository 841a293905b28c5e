import json
import os
import socket
import subprocess
import sys

import pytest

from headrace.cli.serving import serve_run
from headrace.cli.serving_doctor import _workers
from headrace.contracts.errors import ConfigError


def plan(**serve):
    return json.dumps({"toml": {"data": {}, "serve": serve}, "where": "shop.toml", "folder": "."})


def test_the_doctor_counts_workers_against_cores(tmp_path):
    (tmp_path / "plan.json").write_text(plan())
    assert _workers(tmp_path)[1] == ""
    (tmp_path / "plan.json").write_text(plan(workers=4096))
    found, remedy = _workers(tmp_path)
    assert found.startswith("4096 on ")
    assert "[serve] workers = " in remedy
    (tmp_path / "plan.json").write_text(plan(workers="many"))
    assert "\"workers\" is 'many'" in _workers(tmp_path)[1]


THREADS = """
import sys
from pathlib import Path
import headrace.cli.main
from headrace.cli.serving import serve_run
from headrace.contracts.errors import HeadraceError

assert "numpy" not in sys.modules
try:
    serve_run(Path(sys.argv[1]), "127.0.0.1", 0)
except HeadraceError:
    import os
    print(os.environ["OPENBLAS_NUM_THREADS"])
"""


def test_numpy_is_told_to_answer_with_one_thread_before_it_is_loaded(tmp_path):
    free = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
    done = subprocess.run([sys.executable, "-c", THREADS, tmp_path], env=free, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1"]


def test_a_port_that_is_taken_is_said_before_anything_is_opened(tmp_path, capsys):
    """The plan is of no build: that would be said otherwise."""
    (tmp_path / "plan.json").write_text(plan())
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ConfigError, match="can't be listened on: Address already in use. Stop what"):
            serve_run(tmp_path, "127.0.0.1", taken.getsockname()[1])
    assert "answers on" not in capsys.readouterr().out


@pytest.mark.parametrize("workers", [1, 2])
def test_what_is_no_run_is_refused_and_nothing_is_made_there(tmp_path, workers):
    (tmp_path / "shop.toml").write_text("")
    (tmp_path / "empty").mkdir()
    for name in ("shop.toml", "empty", "none"):
        with pytest.raises(ConfigError, match=rf"{name}: no build is there"):
            serve_run(tmp_path / name, "127.0.0.1", 0, workers=workers)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["empty", "shop.toml"]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_folder_that_can_t_be_written_is_said_with_what_to_do(tmp_path, monkeypatch, workers):
    (tmp_path / "plan.json").write_text(plan())
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(ConfigError, match=r"can't be written, where logs and state are kept: chown or chmod it for user \d+"):
        serve_run(tmp_path, "127.0.0.1", 0, workers=workers)
