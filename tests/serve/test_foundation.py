"""A served cascade that reads an upstream: what a request carries online is what it carries offline at that moment."""

from datetime import UTC, datetime

import numpy as np
import pytest

from headrace.cascade.run import build, open_run
from headrace.contracts.serving import ServeConfig
from headrace.data.foundation import USER
from headrace.serve.asked import Asked
from headrace.serve.messages import Event
from headrace.serve.scorers.accelerate import ScorerSessions, TowerSession, accelerated
from headrace.serve.service import Service
from tests.cascade.fed_shop import DAY_US, START_US, write_fed_shop


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    toml = write_fed_shop(tmp_path_factory.mktemp("fed_served"))
    build(toml, toml.parent / "run", name="fed")
    return toml.parent / "run"


@pytest.fixture
def served(run, tmp_path):
    made = Service(open_run(run), tmp_path / "logs", ServeConfig(rotate_s=1000.0))
    yield made
    made.close()


def asked(user, at_us):
    return Asked(f"{user}-{at_us}", user, at_us, 0, 4, (), "home", "")


def test_online_features_are_the_offline_ones(served):
    pipeline = served.pipeline
    seen = []
    for user, day in (("c4", 3.5), ("c4", 9.5), ("c7", 9.5), ("c38", 20.0)):
        at_us = START_US + int(day * DAY_US)
        online = served.requests(asked(user, at_us))
        offline = pipeline.requests_of(pipeline.log.users.encode([user]), np.array([at_us]))
        assert online.features[USER].tolist() == offline.features[USER].tolist()
        seen.append(online.features[USER])
    assert not np.array_equal(seen[0], seen[1])
    assert not seen[2].any(), "the upstream has not met c7"


def test_it_answers_known_and_new_users_through_onnx(served):
    assert isinstance(served.cascade.scorings[-1].scorer, ScorerSessions)
    assert isinstance(served.cascade.retrievers["standalone"], TowerSession)
    for user in ("c4", "c7", "nobody yet"):
        assert len(served.recommend(user, f"to {user}").page) == 4
    view = Event(event_id=None, user_id="nobody yet", item_id="p3", at=datetime.now(UTC), kind="view")
    assert served.receive([view]).stored == 1
    assert not served.requests(asked("nobody yet", served.now_us())).features[USER].any(), "by its new number"


def test_through_onnx_pages_are_those_of_torch(run):
    pipeline = open_run(run)
    requests, _ = pipeline.requests(pipeline.cuts.test_us, 2**62, 20)
    pages = [one.act(requests, seed=0).items for one in (pipeline.cascade(), accelerated(pipeline, "onnx"))]
    assert pages[0].any()
    np.testing.assert_array_equal(pages[0], pages[1])
