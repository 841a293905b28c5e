import os
import subprocess
import sys

import pytest

from headrace.serve.metrics import FOLDER, Metrics, forget_process


def test_counts_and_times_are_there_under_their_names():
    metrics, other = Metrics("g"), Metrics("g")
    metrics.answered("/v1/recommend", 200)
    metrics.answered("/v1/recommend", 422)
    metrics.answered("/v1/recommend", 500)
    metrics.impressions("dropped", 3)
    with metrics.stage("rank"):
        pass
    text = metrics.text().decode()
    for line in (
        'headrace_requests_total{route="/v1/recommend",status="200"} 1.0',
        'headrace_errors_total{fault="client",route="/v1/recommend"} 1.0',
        'headrace_errors_total{fault="server",route="/v1/recommend"} 1.0',
        'headrace_impressions_total{outcome="dropped"} 3.0',
        'headrace_stage_seconds_count{stage="rank"} 1.0',
        'headrace_generation{generation="g"} 1.0',
    ):
        assert line in text
    assert 'outcome="dropped"} 0.0' in other.text().decode(), "nothing is shared between two"


def test_a_stage_that_fails_is_no_time_of_an_answer():
    metrics = Metrics("g")
    with pytest.raises(ValueError), metrics.stage("rank"):
        raise ValueError
    assert 'stage_seconds_count{stage="rank"} 0.0' in metrics.text().decode()


ONE_OF_SEVERAL = """
import os, sys
from headrace.serve.console.readings import read
from headrace.serve.live.metered import Metered
from headrace.serve.metrics import Metrics
metrics, (moved, times) = Metrics("before"), sys.argv[1:]
Metered(metrics).open.set(len(moved))
for _ in range(int(times)):
    metrics.answered("/v1/recommend", 200)
    with metrics.stage("whole"):
        pass
if moved == "moved":
    metrics.serves("after")
print(os.getpid(), read(metrics.registry).whole.answers)
print(metrics.text().decode())
sys.stdout.flush()
sys.stdin.read()
"""


def test_of_several_processes_each_tells_the_sums_of_all(tmp_path):
    def started(*said):
        told = {**os.environ, FOLDER: str(tmp_path)}
        command = [sys.executable, "-W", "error", "-c", ONE_OF_SEVERAL, *said]
        one = subprocess.Popen(command, env=told, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert one.stdout is not None
        pid, answers = map(int, one.stdout.readline().split())
        lines = []
        while (line := one.stdout.readline()).strip():
            lines.append(line.strip())
        return one, pid, answers, lines

    served = 'headrace_requests_total{route="/v1/recommend",status="200"}'
    first, pid, answers, lines = started("", "3")
    assert answers == 3
    assert 'headrace_generation{generation="before"} 1.0' in lines
    second, _, answers, lines = started("moved", "4")
    assert answers == 7, "as the console reads them"
    for line in (
        f"{served} 7.0", 'headrace_stage_seconds_count{stage="whole"} 7.0', "headrace_generations_open 5.0",
        'headrace_generation{generation="before"} 1.0', 'headrace_generation{generation="after"} 1.0',
    ):  # fmt: skip
        assert line in lines
    first.communicate()
    forget_process(tmp_path, pid)
    third, _, _, lines = started("moved", "1")
    assert f"{served} 8.0" in lines, "what it had counted stays"
    assert not any('generation="before"' in line for line in lines), "none that lives answers with it"
    for one in (second, third):
        one.communicate()
