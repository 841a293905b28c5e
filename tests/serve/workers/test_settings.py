import json

import pytest

from headrace.contracts.errors import ArtifactError, ConfigError
from headrace.contracts.serving import ServeConfig
from headrace.flywheel.generations import Generations
from headrace.serve.workers.settings import serve_settings


def plan(**serve):
    return {"toml": {"data": {}, "serve": serve}, "where": "shop.toml", "folder": "."}


def test_of_the_build_that_lies_there(tmp_path):
    assert serve_settings(tmp_path) == ServeConfig()
    (tmp_path / "plan.json").write_text(json.dumps(plan(map_gb=2.0, workers=3)))
    assert serve_settings(tmp_path) == ServeConfig(map_gb=2.0, workers=3)


def test_of_the_live_generation(tmp_path):
    (tmp_path / "plan.json").write_text(json.dumps(plan(workers=3)))
    ledger = Generations(tmp_path)
    for number in (1, 2):
        ledger.add(f"k{number}", plan=plan(workers=10 * number))
    moves = [{"what": "promote", "to": 2, "at": "2026-01-01T00:00:00+00:00", "why": ""}]
    (tmp_path / "live.json").write_text(json.dumps({"moves": moves}))
    assert ledger.live_number == 2
    assert serve_settings(tmp_path).workers == 20


def test_what_can_t_be_read_is_named(tmp_path):
    (tmp_path / "plan.json").write_text("{")
    with pytest.raises(ArtifactError, match=r"plan\.json: not a plan that was built"):
        serve_settings(tmp_path)
    (tmp_path / "plan.json").write_text(json.dumps(plan(workers=0)))
    with pytest.raises(ConfigError, match=r'shop\.toml \[serve\]: "workers" is 0'):
        serve_settings(tmp_path)
