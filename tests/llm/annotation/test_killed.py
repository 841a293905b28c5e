"""A real process against a real server, killed in mid-run: no row is lost, and what had arrived is not paid twice."""

import json
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from importlib.util import find_spec

import polars as pl
import pytest

from headrace.llm.annotation.work import ANSWERS, folder_of
from headrace.llm.cache import AnswerCache
from tests.llm.annotation.some_plan import PROMPT, reviews
from tests.llm.chat_server import completion, serving

ROWS, CONCURRENCY = 60, 4
needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="ray is not installed; pip install 'headrace[ray]'")
TOML = """
out = "topics.parquet"
[rows]
path = "reviews.csv"
key = "id"
chunk = 25
[prompt]
file = "topics.txt"
values = {{ task = "Name the topic." }}
[columns.topic]
type = "choice"
choices = ["price", "taste"]
[model]
backend = "server"
[model.server]
base_url = "{url}"
model = "m"
concurrency = {concurrency}
"""
HEADRACE = [sys.executable, "-c", "from headrace.cli.main import run; run()", "annotate", "topics.toml"]


class Counting:
    """Which tries of which rows were asked. After so many it answers no more until `go_on`, so that some are under way."""

    def __init__(self, after):
        self.asked, self.lock = Counter[tuple[str, int]](), threading.Lock()
        self.after, self.held, self.go_on = after, 0, threading.Event()

    def __call__(self, body):
        row = re.findall(r"cup (\d+)", "\n".join(message["content"] for message in body["messages"]))[0]
        attempt = 1 + any(message["role"] == "assistant" for message in body["messages"])
        with self.lock:
            self.asked[row, attempt] += 1
            held = self.asked.total() > self.after and not self.go_on.is_set()
            self.held += held
        if held:
            self.go_on.wait(600)
        # Every fifth row is answered wrongly the first time: that answer was paid for as well.
        return completion("Hm." if attempt == 1 and int(row) % 5 == 0 else '{"topic": "price"}')


def answered(folder):
    """Row -> tries whose answers lie in the cache."""
    with AnswerCache(folder_of(folder / "topics.parquet") / ANSWERS) as cache:
        rows = [json.loads(answer[8:]) for (answer,) in cache._database.execute("SELECT answer FROM answers")]
        return sum(row["usage"][0] for row in rows), len(rows)


@pytest.mark.parametrize(
    ("after", "more"), [(10, []), (45, []), pytest.param(30, ["--ray"], marks=needs_ray)], ids=["early", "late", "ray"]
)
def test_a_killed_run_goes_on_where_it_was(tmp_path, after, more):
    reviews(tmp_path, ROWS)
    (tmp_path / "topics.txt").write_text(PROMPT)
    counting = Counting(after)
    with serving(counting) as server:
        (tmp_path / "topics.toml").write_text(TOML.format(url=server.url, concurrency=CONCURRENCY))
        with (tmp_path / "said").open("w") as said:
            first = subprocess.Popen([*HEADRACE, *more], cwd=tmp_path, stderr=said)
        deadline = time.monotonic() + 300  # Ray takes its time to start
        at_work = 1 if more else CONCURRENCY  # a worker of Ray's may be without rows by then
        while counting.held < at_work and first.poll() is None and time.monotonic() < deadline:
            time.sleep(0.001)
        while answered(tmp_path)[0] < counting.asked.total() - counting.held and time.monotonic() < deadline:
            time.sleep(0.01)  # until what was answered is written
        first.kill()
        assert first.wait() == -signal.SIGKILL, (tmp_path / "said").read_text()
        assert not (tmp_path / "topics.parquet").exists()
        before = counting.asked.copy()
        counting.go_on.set()
        kept, rows = answered(tmp_path)
        assert rows > 0
        assert sum(before.values()) - kept <= CONCURRENCY, "all that was answered is on the disk, but for what was under way"
        ran = subprocess.run([*HEADRACE, *more], cwd=tmp_path, capture_output=True, text=True)
        assert ran.returncode == 0, ran.stderr
    out = pl.read_parquet(tmp_path / "topics.parquet")
    assert out["id"].to_list() == [f"r{n:04d}" for n in range(ROWS)], "no row is lost, none is there twice"
    assert set(out["status"]) == {"parsed"}
    twice = {one: count for one, count in counting.asked.items() if count > 1}
    assert max(twice.values(), default=1) <= 2
    assert len(twice) == sum(before.values()) - kept <= CONCURRENCY, "only what was under way is asked again"
    assert sum(counting.asked.values()) == ROWS + ROWS // 5 + len(twice)
    summary = json.loads((tmp_path / "topics.json").read_text())
    assert summary["spent"]["calls"] == ROWS + ROWS // 5
