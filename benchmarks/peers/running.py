"""A peer in a virtual environment of its own, under the user's cache: nothing of it enters the project's.

A runner is called as `python -I RUNNER.py INPUT.npz OUTPUT.npz SETTINGS` with one thread, and the last line it prints is its
figures as JSON. INPUT holds offsets [users + 1], items [events] in the order of each user's events, and n_items; OUTPUT gets
users [R] and items [R, k]. A runner that measures lists finds them in INPUT too, as lists [users, k], and OUTPUT stays empty.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from headrace.contracts.errors import DataError
from headrace.contracts.requests import History, Int32, Int64
from headrace.data.datasets.placing import default_home

ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}


@dataclass(frozen=True)
class Peer:
    """name: of the folder. requirements: each pinned."""

    name: str
    requirements: tuple[str, ...]

    def python(self) -> Path:
        """Its interpreter; the environment is made on first use. A note written last says that it is whole."""
        home = default_home() / "peers" / f"{self.name}-py{sys.version_info.major}.{sys.version_info.minor}"
        python, whole = home / "bin" / "python", home / "requirements.txt"
        wanted = "\n".join(self.requirements) + "\n"
        if not whole.is_file() or whole.read_text() != wanted:
            subprocess.run([sys.executable, "-m", "venv", "--clear", home], check=True)
            subprocess.run([python, "-m", "pip", "install", "--quiet", *self.requirements], check=True)
            whole.write_text(wanted)
        return python

    def run(
        self, runner: str, history: History, n_items: int, *, lists: Int32 | None = None, **settings: Any
    ) -> tuple[dict[str, Any], Int64, Int32]:
        """Its figures, and its lists: users [R], items [R, k] with 0 for an empty slot. Each call is a process of its own."""
        also: dict[str, Any] = {} if lists is None else {"lists": lists}
        given = {"offsets": history.offsets, "items": history.items, "n_items": np.array(n_items), **also}
        figures, found = self.call(runner, given, **settings)
        if lists is not None:
            return figures, np.zeros(0, np.int64), np.zeros((0, 0), np.int32)
        return figures, found["users"], found["items"]

    def call(self, runner: str, arrays: Mapping[str, Any], **settings: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """Its figures, and the arrays it wrote, none if it wrote no file. One thread, unless settings name threads."""
        with tempfile.TemporaryDirectory() as folder:
            given, found = Path(folder) / "given.npz", Path(folder) / "found.npz"
            np.savez(given, **arrays)
            script = Path(__file__).with_name(f"{runner}.py")
            environment = {**os.environ, **ONE_THREAD, "OMP_NUM_THREADS": str(settings.get("threads", 1))}
            done = subprocess.run(
                [self.python(), "-I", script, given, found, json.dumps(settings)],
                env=environment, cwd=folder, capture_output=True, text=True,
            )  # fmt: skip
            if done.returncode:
                raise DataError(f"{self.name}: {runner} ended with {done.returncode}.\n{done.stderr[-2000:]}")
            figures: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
            if not found.exists():
                return figures, {}
            with np.load(found) as answered:
                return figures, dict(answered)


APOLLO_TORCH = Peer(
    "apollo-torch-1.0.3",
    ("apollo-torch==1.0.3", "torch==2.13.0", "numpy==2.4.6", "transformers==5.23.0", "bitsandbytes==0.50.2"),
)
BITSANDBYTES = Peer("bitsandbytes-0.50.2", ("bitsandbytes==0.50.2", "torch==2.13.0", "numpy==2.4.6"))
CORNAC = Peer("cornac-3.0.1", ("cornac==3.0.1", "flask==3.1.3", "numpy==2.4.6", "scipy==1.17.1"))
DEEPCTR_TORCH = Peer(
    # it imports requests, and doesn't say so
    "deepctr-torch-0.3.0", ("deepctr-torch==0.3.0", "requests==2.34.2", "torch==2.13.0", "numpy==2.4.6", "scikit-learn==1.9.1")
)  # fmt: skip
FUXICTR = Peer("fuxictr-2.3.10", ("fuxictr==2.3.10", "torch==2.13.0", "numpy==2.4.6"))
GALORE_TORCH = Peer(
    "galore-torch-1.0",
    ("galore-torch==1.0", "torch==2.13.0", "numpy==2.4.6", "transformers==5.23.0", "bitsandbytes==0.50.2"),
)
IMPLICIT = Peer("implicit-0.7.3", ("implicit==0.7.3", "numpy==2.4.6", "scipy==1.17.1"))
IR_MEASURES = Peer("ir-measures-0.4.3", ("ir-measures==0.4.3", "pytrec-eval-terrier==0.5.11", "numpy==2.4.6"))
RECBOLE = Peer(
    "recbole-1.2.1",
    ("recbole==1.2.1", "torch==2.13.0", "setuptools==79.0.1", "numpy==1.26.4", "pandas==2.3.3", "scipy==1.13.1"),
)
RECTOOLS_METRICS = Peer("rectools-metrics-0.19.0", ("rectools==0.19.0",))
RECTOOLS = Peer("rectools-0.19.0", ("rectools[torch]==0.19.0", "torch==2.13.0"))
TORCH_RECHUB = Peer("torch-rechub-0.9.0", ("torch-rechub==0.9.0", "torch==2.13.0", "numpy==2.4.6", "pandas==3.1.1"))
TORCHAO = Peer("torchao-0.18.0", ("torchao==0.18.0", "torch==2.13.0", "numpy==2.4.6"))
TRANSFORMERS = Peer("transformers-5.23.0", ("transformers==5.23.0", "torch==2.13.0", "numpy==2.4.6"))
