import threading
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch

from headrace.cascade.answers import answer
from headrace.contracts.requests import Slates
from headrace.contracts.serving import ServeConfig
from headrace.data.consent import Impersonal
from headrace.data.rank_inputs import candidate_batch, user_batch
from headrace.serve.asked import Asked
from headrace.serve.catalogue.searched import Searched
from headrace.serve.explain import explain
from headrace.serve.logs.impressions import logged_candidates, logged_request
from headrace.serve.messages import Event, Refused
from headrace.serve.service import Service
from tests.data.tables import write_tables

USERS = [f"c{n}" for n in range(40)]


def bought(user, item, at="2025-01-01T10:00:00Z", **more):
    return Event(user_id=user, item_id=item, at=at, kind="view", **more)


def ids(given):
    return [one.item_id for one in given.page]


def test_an_event_changes_the_next_answer(service):
    before = ids(service.recommend("c1", "r1"))
    assert service.receive([bought("c1", before[0])]).stored == 1
    after = ids(service.recommend("c1", "r2"))
    assert before[0] not in after
    for number in range(3):
        service.receive([bought("somebody new", f"p{number}", event_id=f"e{number}")])
    page = service.recommend("somebody new", "r3").page
    assert not {"p0", "p1", "p2"} & {one.item_id for one in page}
    assert any("sasrec" in reason for one in page for reason in one.reasons), "three events are a sequence to read"


def test_served_features_are_the_trainer_s(service, pipeline):
    """A request's batches, for the user and for the candidates, as the trainer makes them for the same moment: 300 of them."""
    service.receive([bought("c0", "p3"), bought("not in the log", "p4")])
    draw = np.random.default_rng(0)
    moments = draw.integers(pipeline.log.store.events.at_us.min(), pipeline.cuts.last_us, 300)
    for user, at_us in zip(draw.integers(40, size=300).tolist(), moments.tolist(), strict=True):
        online = service.requests(Asked("r", f"c{user}", at_us, 0, 4))
        offline = pipeline.requests_of(pipeline.log.users.encode([f"c{user}"]), np.array([at_us]), ids=["r"])
        np.testing.assert_array_equal(online.history.items, offline.history.items)
        for scoring in service.cascade.scorings:
            served, trained = (user_batch(one, scoring.scorer.schema) for one in (online, offline))
            assert served.keys() == trained.keys()
            assert all(torch.equal(served[name], trained[name]) for name in trained)
        left, right = (service.cascade.recall(one) for one in (online, offline))
        stages = list(right.scores)
        assert torch.equal(*(candidate_batch(one, stages)["retrieval"] for one in (left, right)))


def test_a_page_is_the_pipeline_s_own(pipeline, tmp_path):
    moment = pipeline.cuts.last_us + 1
    service = Service(pipeline, tmp_path, ServeConfig(runtime="torch"), now_us=lambda: moment)
    for number, user in enumerate(USERS[:10]):
        given = service.recommend(user, f"r{number}", seed=number)
        users = pipeline.log.users.encode([user])
        asked = pipeline.requests_of(users, np.array([given.asked.at_us]), ids=[f"r{number}"])
        page = answer(pipeline.cascade(), pipeline.log, asked, seed=number)[0]
        assert given.page == [replace(one, details=[]) for one in page]
    service.close()


def test_logged_requests_replay_to_the_same_slates_and_chances(pipeline, tmp_path):
    settings = ServeConfig(unshown_share=0.3)
    service = Service(pipeline, tmp_path, settings)
    given = []
    for number in range(120):
        user = USERS[number % 40] if number % 3 else f"new {number % 5}"
        given.append(
            service.recommend(user, f"r{number}", seed=number % 7, n=3 if number % 2 else None, exclude=[f"p{number % 24}"])
        )
        if number % 4 == 0:
            service.receive([bought(user, f"p{(5 * number) % 24}", event_id=f"e{number}")])
        if number % 10 == 0:  # it happened long before, and nobody knew
            service.receive([bought(USERS[(number + 1) % 40], "p7", at="2023-01-01T00:00:00Z", event_id=f"late{number}")])
    service.close()

    again = Service(pipeline, tmp_path, settings)
    for number, one in enumerate(given):
        found = logged_request(tmp_path, f"r{number}")
        assert found == (one.asked, pipeline.generation.key)
        walked = again.walk(found[0])
        shown = logged_candidates(tmp_path, f"r{number}").filter(pl.col("stage") == "shown")
        items = walked.slates.items[0, : one.asked.slots]
        assert [again.names.ids[item] for item in items] == shown["item_id"].to_list() == ids(one)
        slates = Slates(items[None], np.zeros((1, len(items))), "p", deterministic=False)
        log_prob = again.cascade.log_prob(walked.requests, slates, walked.candidates)[0]
        np.testing.assert_allclose(log_prob, np.log(shown["propensity"].to_numpy()), atol=1e-5)
    again.close()


def test_what_is_excluded_is_not_shown_and_fewer_can_be_asked_for(service):
    first = ids(service.recommend("c1", "r1"))
    few = service.recommend("c1", "r1b", n=2, exclude=[*first, "unknown"])
    assert len(few.page) == 2
    assert not set(ids(few)) & set(first)
    with pytest.raises(Refused, match="4 slots"):
        service.recommend("c1", "r2", n=5)


def test_a_request_sent_again_gets_the_page_it_got(service):
    first = service.recommend("c1", "r1")
    service.receive([bought("c1", ids(first)[0])])
    second = service.recommend("c1", "r1")
    assert second.again
    assert second.page == first.page
    with pytest.raises(Refused, match="another request's"):
        service.recommend("c2", "r1")


def test_an_unknown_user_gets_the_fallback_and_is_told_so(service):
    service.recommend("nobody", "r1")
    found = explain(service, "r1")
    assert found is not None
    assert "no history" in found.rules[-1]
    assert all(one.proposed_by in (["popularity"], ["fallback"]) for one in found.items)


def test_who_does_not_consent_is_answered_as_nobody(service, tmp_path):
    """From the moment it says so; the same request of somebody unknown gets the same page. What they do is still kept."""
    users = {"user_id": ["c1", "c1"], "valid_from": [0, service.now_us() + 10**9], "consent_personalise": [False, True]}
    service.impersonal = Impersonal(write_tables(tmp_path / "tables", [("c1", "p1", 1)], users=users))
    assert service.receive([bought("c1", "p3")]).stored == 1
    given = service.recommend("c1", "r1")
    asked = service.requests(given.asked)
    assert (asked.users[0], len(asked.history.items)) == (0, 0)
    assert not any("because of" in reason for one in given.page for reason in one.reasons)
    found = explain(service, "r1")
    assert found is not None
    assert found.rules[-1].startswith("consent_personalise = false")
    with_consent = replace(given.asked, at_us=given.asked.at_us + 2 * 10**9)
    assert len(service.requests(with_consent).history.items) > 10
    again = replace(given.asked, user_id="nobody")
    walked, nobody = service.walk(given.asked), service.walk(again)
    assert walked.slates.items.tolist() == nobody.slates.items.tolist()


def test_its_clock_never_says_the_same_twice(pipeline, tmp_path):
    service = Service(pipeline, tmp_path, now_us=lambda: 1_700_000_000_000_000)
    assert len({service.now_us() for _ in range(100)}) == 100
    service.close()


def test_one_that_can_t_be_opened_leaves_no_thread_on_a_closed_state(pipeline, tmp_path, monkeypatch):
    before = set(threading.enumerate())
    monkeypatch.setattr(Searched, "ready", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        Service(pipeline, tmp_path, ServeConfig(rotate_s=1000.0))
    assert set(threading.enumerate()) <= before
    monkeypatch.undo()
    Service(pipeline, tmp_path, ServeConfig(rotate_s=1000.0)).close()
