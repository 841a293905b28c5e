"""HiSAC's sums in serving: whatever comes in whatever order, a page is scored as from the whole history."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headrace.cascade.answers import walk
from headrace.cascade.run import planned
from headrace.contracts.serving import ServeConfig
from headrace.data.consent import Impersonal
from headrace.serve.messages import Event
from headrace.serve.scorers import kept_up
from headrace.serve.scorers.accelerate import ScorerSessions, accelerated
from headrace.serve.scorers.kept_states import WHO, KeptStates, number_of
from headrace.serve.scorers.kept_up import KeptUp, added
from headrace.serve.service import Service
from tests.cascade.shop import write_rich_shop
from tests.cascade.test_hisac import RANK
from tests.data.tables import write_tables
from tests.methods.rank.test_hisac import SMALL, learned

AGES_OFF = RANK.replace("history = 30", "history = 10\nages = false").replace("kept = 4", "kept = 3")


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    toml = write_rich_shop(tmp_path_factory.mktemp("kept"))
    toml.write_text(toml.read_text() + AGES_OFF)
    return planned(toml, toml.parent / "run")


@pytest.fixture
def served(shop, tmp_path):
    made = Service(shop, tmp_path, ServeConfig(rotate_s=1000.0))
    yield made
    made.close()


def outcomes(service):
    return {outcome: int(service.metrics._states.labels("rank", outcome)._value.get()) for outcome in ("kept", "updated", "made")}


def at(moment_us):
    return str(np.datetime64(moment_us, "us")) + "Z"


@pytest.fixture(autouse=True)
def worth(monkeypatch):
    """The histories here are short, so what is worth it begins midway."""
    monkeypatch.setattr(kept_up, "WORTH", 6)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(1, 3), max_size=12), st.lists(st.integers(1, 3), max_size=12))
def test_what_was_added_makes_the_one_of_the_other(before, now):
    before, now = np.array(before, np.int32), np.array(now, np.int32)
    new = added(before, now)
    if new is None:
        assert not len(before) or not any(
            before[len(before) - common :].tolist() == now[:common].tolist()
            for common in range(1, min(len(before), len(now)) + 1)
        )
        return
    common = len(now) - new
    assert before[len(before) - common :].tolist() == now[:common].tolist()


@torch.no_grad()
@pytest.mark.parametrize("more", [{}, {"routing": "hard", "rest": True}], ids=["soft", "hard"])
def test_events_and_requests_in_any_order(more):
    """Users' histories grow, are cut at nine, change in the middle and are forgotten; every state is that of `user`."""
    model = learned(settings=replace(SMALL, ages=False, **more), sizes={})[0]
    model.eval()
    told: list[str] = []
    kept = KeptUp("rank", model, model, KeptStates(0.002), told.append)  # room for four of the six users or so
    draw = np.random.default_rng(0)
    past = {who: draw.integers(1, 26, int(draw.integers(0, 12))) for who in range(1, 7)}
    for _ in range(500):
        who = int(draw.integers(1, 7))
        what = draw.random()
        if what < 0.5:
            past[who] = np.concatenate([past[who], draw.integers(1, 26, int(draw.integers(1, 4)))])
        elif what < 0.55 and len(past[who]):
            past[who] = np.insert(past[who], int(draw.integers(len(past[who]))), 7)  # it came late
        elif what < 0.56:
            past[who] = past[who][:0]
        row = np.zeros((1, 9), np.int64)
        row[0, : min(len(past[who]), 9)] = past[who][-9:]
        batch = {"history": torch.from_numpy(row)}
        found, wanted = kept.user({**batch, WHO: torch.tensor([who])}), model.user(batch)
        assert found.keys() == wanted.keys()
        for name in found:
            torch.testing.assert_close(found[name], wanted[name], rtol=1e-5, atol=1e-5)
    count = {outcome: told.count(outcome) for outcome in set(told)}
    assert min(count["kept"], count["updated"], count["made"]) > 40, count


def test_pages_are_those_of_the_whole_history_whatever_comes_between(served, shop):
    """Events in order, late, and sent twice; requests now and as of earlier; each event is in the next score, within 1e-5."""
    plain, draw = accelerated(shop, "onnx"), np.random.default_rng(1)
    plain.features = served.cascade.features  # which count what came since the build
    scorer = served.cascade.scorings[-1].scorer
    assert isinstance(scorer, KeptUp)
    assert isinstance(scorer.served, ScorerSessions)
    asked: list[Any] = []
    for number in range(150):
        user, what = f"{['c', 'new '][number % 5 == 0]}{draw.integers(3)}", draw.random()
        if what < 0.5:
            happened = served.now_us() if what < 0.4 else served.now_us() - int(draw.integers(1, 10**14))
            one = Event(user_id=user, item_id=f"p{draw.integers(24)}", at=at(happened), kind="view", event_id=f"e{number}")
            assert served.receive([one] * int(draw.integers(1, 3))).stored == 1
        again = asked[int(draw.integers(len(asked)))] if asked and what > 0.9 else None
        given = again or served.recommend(user, f"r{number}").asked
        asked.append(given)
        requests = served.requests(given)
        if what < 0.4:
            assert shop.log.items.decode(requests.history.items[-1:])[0] == one.item_id
        found, wanted = (walk(each, requests, seed=0) for each in (served.cascade, plain))
        np.testing.assert_array_equal(found.scored["rank"].items, wanted.scored["rank"].items)
        np.testing.assert_allclose(found.scored["rank"].scores["rank"], wanted.scored["rank"].scores["rank"], atol=1e-5)
    assert min(outcomes(served).values()) > 10, outcomes(served)


def test_who_was_erased_or_refuses_leaves_nothing(served, tmp_path):
    def kept(user):
        return served.kept.get("rank", number_of(user))

    for user in ("c1", "c2", "c3"):
        served.recommend(user, f"first of {user}")
        assert kept(user) is not None
    users = {"user_id": ["c2"], "valid_from": [0], "consent_personalise": [False]}
    served.impersonal = Impersonal(write_tables(tmp_path / "tables", [("c2", "p1", 1)], users=users))
    served.recommend("c2", "second")
    assert kept("c2") is None
    assert kept("c1") is not None
    served.state.forget("c1")
    served.recommend("c3", "third")
    assert kept("c1") is None
    served.recommend("c1", "fourth")
    assert kept("c1") is None, "nor does a request bring it back"


def test_a_request_worked_out_again_is_the_same_and_so_it_is_after_a_restart(shop, tmp_path):
    first = Service(shop, tmp_path)
    given = first.recommend("c4", "r1")
    walked = first.walk(given.asked).scored["rank"].scores["rank"]
    first.receive([Event(event_id=None, user_id="c4", item_id="p3", at=at(first.now_us()), kind="view")])
    first.recommend("c4", "r2")
    np.testing.assert_array_equal(first.walk(given.asked).scored["rank"].scores["rank"], walked)
    first.close()
    again = Service(shop, tmp_path)
    np.testing.assert_array_equal(again.walk(given.asked).scored["rank"].scores["rank"], walked)
    again.close()


def test_without_memory_for_it_nothing_is_kept(shop, tmp_path):
    plain = Service(shop, tmp_path, ServeConfig(states_mb=0))
    assert isinstance(plain.cascade.scorings[-1].scorer, ScorerSessions)
    plain.close()
