import json
import os
import subprocess
import sys

from headrace.cli.serving_doctor import _workers


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
