"""The same synthetic rows through obp 0.4.1 and through us: the largest difference of each estimator over seeds."""

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers import running
from benchmarks.peers.running import ONE_THREAD, Peer
from headrace.contracts.errors import DataError
from headrace.evaluate.offpolicy.single import direct, doubly_robust, expected_reward, ips, snips, switch_dr
from headrace.evaluate.offpolicy.slates import independent, interaction, joint

# obp 0.4.1 is of 2021: its stated needs are met here by versions it still runs with
OBP = Peer(
    "obp-0.4.1",
    (
        "obp==0.4.1", "numpy==1.26.4", "scipy==1.13.1", "scikit-learn==1.9.1", "pandas==3.0.6", "matplotlib==3.11.2",
        "seaborn==0.13.2", "pyyaml==6.0.3", "tqdm==4.70.1", "torch==2.13.0", "mypy-extensions==1.2.0",
    ),
)  # fmt: skip
SEEDS, TAU, SLOTS = range(5), 3.0, 3


def compared() -> dict[str, Any]:
    worst: dict[str, float] = {}
    for seed in SEEDS:
        given = _rows(seed)
        for name, value in ours(given).items():
            away = abs(value - float(given[f"value.{name}"]))
            worst[name] = max(worst.get(name, 0.0), away)
    return {"peer": OBP.name, "seeds": len(SEEDS), **{f"{name}, largest difference": value for name, value in worst.items()}}


def ours(given: Any) -> dict[str, float]:
    action = given["action"]
    rows = np.arange(len(action))
    reward, logged, target = given["reward"], given["pscore"], given["target"][rows, action]
    q, v = given["model"][rows, action], expected_reward(given["model"], given["target"])
    slate = given["slate.reward"].reshape(-1, SLOTS)
    logs = {name: np.log(given[f"slate.{name}"].reshape(-1, SLOTS)) for name in _pairs()}
    # obp gives the chance of all items down to a slot; ours is of each given those above
    for side in ("logged", "target"):
        logs[f"{side}.cascade"] = np.diff(logs[f"{side}.cascade"], axis=1, prepend=0.0)
    return {
        "ips": ips(reward, logged, target).value, "snips": snips(reward, logged, target).value, "direct": direct(v).value,
        "doubly_robust": doubly_robust(reward, logged, target, q, v).value,
        "switch_dr": switch_dr(reward, logged, target, q, v, tau=TAU).value,
        "joint": joint(slate, logs["logged.cascade"], logs["target.cascade"]).value,
        "interaction": interaction(slate, logs["logged.cascade"], logs["target.cascade"]).value,
        "independent": independent(slate, logs["logged.marginal"], logs["target.marginal"]).value,
    }  # fmt: skip


def _pairs() -> list[str]:
    return [f"{side}.{kind}" for side in ("logged", "target") for kind in ("cascade", "marginal")]


def _rows(seed: int) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        found = Path(folder) / "found.npz"
        script = Path(running.__file__).with_name("obp_estimates.py")
        settings = json.dumps({"seed": seed, "rows": 10_000, "slates": 2_000, "slots": SLOTS, "tau": TAU})
        done = subprocess.run(
            [OBP.python(), "-I", script, found, settings],
            env={**os.environ, **ONE_THREAD}, cwd=folder, capture_output=True, text=True,
        )  # fmt: skip
        if done.returncode:
            raise DataError(f"{OBP.name}: ended with {done.returncode}.\n{done.stderr[-2000:]}")
        with np.load(found) as arrays:
            return dict(arrays)
