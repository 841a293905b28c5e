import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from headrace.cascade.run import build, open_run
from headrace.contracts.serving import ServeConfig
from headrace.flywheel.generations import Generations
from headrace.serve.app import create_app
from tests.serve.console.hostile import SCRIPT, keep_answers, write_hostile_shop


@pytest.fixture(scope="session")
def hostile_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    build(write_hostile_shop(folder), folder / "run", name="<b>shop</b>")
    keep_answers(folder / "run" / "store" / "answers.sqlite")
    return folder / "run"


@pytest.fixture(scope="session")
def client(hostile_run: Path):
    """Shows pictures; what tests ask of it is counted and logged for all."""
    with TestClient(create_app(hostile_run, ServeConfig(console_images=True))) as client:
        yield client


DECISIONS: dict[str, dict[str, Any]] = {
    "offline": {"status": "passed", "observed": 0.0123, "threshold": -0.01, "reason": f"ndcg@10 holds {SCRIPT}"},
    "calibration": {"status": "blocked", "observed": 0.312, "threshold": 0.05, "reason": "chances are off by a third"},
    "style": {"status": "no_evidence", "observed": None, "threshold": 0.2, "reason": "no explanation was written"},
}


@pytest.fixture(scope="session")
def ledgered(hostile_run: Path, tmp_path_factory: pytest.TempPathFactory):
    """A server of the same build with a ledger: one is live, two was blocked, three was rolled back from and is in no store."""
    run = shutil.copytree(hostile_run, tmp_path_factory.mktemp("ledgered") / "run", ignore=shutil.ignore_patterns("served"))
    ledger, key = Generations(run), open_run(run).generation.key
    kept = json.loads((run / "plan.json").read_text())
    ledger.add(key, plan=kept, verdict={"says": "promoted"})
    ledger.promote(1, f"the first {SCRIPT}")
    blocked = {"says": "blocked by calibration", "required": ["offline", "style"], "promotes": False, "decisions": DECISIONS}
    ledger.add(key, plan=kept, verdict=blocked)
    ledger.add("f" * 32, plan={**kept, "toml": {**kept["toml"], "seed": 9}}, verdict={})
    moves = json.loads((run / "live.json").read_text())["moves"]
    there = {"what": "promote", "to": 3, "at": "2026-01-02T03:04:05+00:00", "why": "tried"}
    back = {"what": "rollback", "to": 1, "at": "2026-01-02T04:04:05+00:00", "why": "guardrail errors: 7.0% of 300 answers failed"}
    (run / "live.json").write_text(json.dumps({"live": 1, "moves": [*moves, there, back]}))
    with TestClient(create_app(run, ServeConfig(runtime="torch", reload_s=60.0))) as client:
        yield client
