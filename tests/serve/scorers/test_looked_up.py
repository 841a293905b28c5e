"""Stored user states in serving: a look-up while a history stands still, worked out when it does not, never out of date."""

from datetime import UTC, datetime

import numpy as np
import pytest

from headrace.cascade.answers import walk
from headrace.cascade.run import planned
from headrace.contracts.serving import ServeConfig
from headrace.serve.messages import Event
from headrace.serve.scorers.accelerate import accelerated
from headrace.serve.scorers.looked_up import LookedUp
from headrace.serve.service import Service
from tests.cascade.test_user_sides import write_text_shop


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    toml = write_text_shop(tmp_path_factory.mktemp("looked-up"))
    return planned(toml, toml.parent / "run")


@pytest.fixture
def served(shop, tmp_path):
    made = Service(shop, tmp_path, ServeConfig(rotate_s=1000.0))
    yield made
    made.close()


def outcomes(service):
    counter = service.metrics._states
    return [int(counter.labels("rank", outcome)._value.get()) for outcome in ("stored", "kept", "made")]


def viewed(user, item, number):
    at = datetime(2025, 1, 1, 10, 0, number, tzinfo=UTC)
    return Event(user_id=user, item_id=item, at=at, kind="view", event_id=f"{user}/{number}")


def test_it_is_looked_up_while_the_history_stands_still(served):
    assert isinstance(served.cascade.scorings[-1].scorer, LookedUp)
    served.recommend("c1", "r1")
    assert outcomes(served) == [1, 0, 0]
    served.receive([viewed("c1", "p3", 1)])
    served.recommend("c1", "r2")
    assert outcomes(served) == [1, 0, 1]
    served.recommend("c1", "r3")
    assert outcomes(served) == [1, 1, 1]
    served.receive([viewed("c1", "p4", 2)])
    served.recommend("c1", "r4")
    assert outcomes(served) == [1, 1, 2], "what was kept is of another history"
    assert 'headrace_user_states_total{outcome="stored",stage="rank"} 1.0' in served.metrics.text().decode()


def test_pages_are_those_of_states_made_now_whatever_comes_between(served, shop):
    plain, draw = accelerated(shop, "onnx"), np.random.default_rng(0)
    plain.features = served.cascade.features
    for number in range(60):
        user = f"c{draw.integers(5)}"
        if draw.random() < 0.3:
            served.receive([viewed(user, f"p{draw.integers(24)}", number)])
        requests = served.requests(served.recommend(user, f"r{number}").asked)
        found, wanted = (walk(each, requests, seed=0).scored["rank"] for each in (served.cascade, plain))
        np.testing.assert_array_equal(found.items, wanted.items)
        np.testing.assert_allclose(found.scores["rank"], wanted.scores["rank"], rtol=0, atol=1e-5)
    assert min(outcomes(served)) > 5, outcomes(served)


def test_who_refuses_is_neither_stored_nor_kept(served):
    served.recommend("c3", "r1")
    served.recommend("c3", "r2")
    assert outcomes(served) == [0, 0, 2]
    assert len(served.kept) == 0
