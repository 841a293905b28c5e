import json

import pytest

from headrace.cli.serving import serve_run
from headrace.cli.serving_doctor import _workers
from headrace.contracts.errors import ConfigError


def plan(**serve):
    return json.dumps({"toml": {"data": {}, "serve": serve}, "where": "shop.toml", "folder": "."})


def test_several_processes_do_not_go_with_redis(tmp_path):
    with pytest.raises(ConfigError, match="--workers 2 with --redis: .* Start several servers on that Redis"):
        serve_run(tmp_path, "127.0.0.1", 0, workers=2, redis_url="redis://127.0.0.1:1/0")


def test_the_doctor_counts_workers_against_cores(tmp_path):
    (tmp_path / "plan.json").write_text(plan())
    assert _workers(tmp_path)[1] == ""
    (tmp_path / "plan.json").write_text(plan(workers=4096))
    found, remedy = _workers(tmp_path)
    assert found.startswith("4096 on ")
    assert "[serve] workers = " in remedy
    (tmp_path / "plan.json").write_text(plan(workers=2, state="redis"))
    assert 'workers = 1 with state = "redis"' in _workers(tmp_path)[1]
    (tmp_path / "plan.json").write_text(plan(workers="many"))
    assert "\"workers\" is 'many'" in _workers(tmp_path)[1]
