"""Calibrated rankers of a build, users whose clicks a world draws: the miscalibrated one is rolled back, a sound one is not."""

import shutil
import time
from contextlib import contextmanager

import pytest

from headrace.contracts.serving import GuardrailConfig
from headrace.flywheel.generations import Generations
from headrace.serve.app import open_service
from headrace.serve.live.holder import Live
from headrace.world.live import World
from tests.serve.live.conftest import quick
from tests.serve.live.world_wheel import WORLD, Visitors, make_wheel

PAGES, LOOKS = 120, 2
WAIT_S = 1.0
RAILS = GuardrailConfig(window_s=600, least=40, p99_ms=60_000, click_wait_s=WAIT_S)


@pytest.fixture(scope="module")
def world():
    return World(WORLD, 0)


@pytest.fixture(scope="module")
def made(world, tmp_path_factory):
    return make_wheel(tmp_path_factory.mktemp("calibrated"), world)


@pytest.fixture
def ledger(made, tmp_path):
    return Generations(shutil.copytree(made, tmp_path / "run"))


@contextmanager
def after_a_promotion(ledger, visitors, number):
    """The first generation had its pages, then another has. Looked at several times, as guardrails do every second."""
    live = Live(ledger.run, open_service(ledger.run, quick(guardrails=RAILS)))
    try:
        visitors.visit(live.current, PAGES)
        ledger.promote(number, "")
        live.reload()
        for _ in range(LOOKS):
            visitors.visit(live.current, PAGES // LOOKS)
            time.sleep(1.1 * WAIT_S)
            live._look()
        yield live
    finally:
        live.close()


def test_one_that_expects_too_little_is_rolled_back(ledger, world):
    with after_a_promotion(ledger, Visitors(world), 3) as live:
        assert ledger.live_number == live.number == 1
        assert ledger.moves[-1].what == "rollback"
        assert ledger.moves[-1].why.startswith("guardrail drift: clicks are ")
        assert 'headrace_guardrail_trips_total{guardrail="drift"} 1.0' in live.metrics.text().decode()


def test_a_sound_one_stays(ledger, world):
    with after_a_promotion(ledger, Visitors(world, seed=1), 2) as live:
        assert ledger.live_number == live.number == 2
        assert live.watch is not None
        mine = live.current.tally.since(0.0, settled_s=WAIT_S)
        assert mine.pages == PAGES
        assert 0.4 < mine.foreseen / mine.expected < 2.5, "it is calibrated where it is served, so the check can fail"
