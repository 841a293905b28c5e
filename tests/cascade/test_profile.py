"""A user in words: of a ranker with agents and of one without, and of those there is nothing to say of."""

from datetime import UTC, datetime

import numpy as np
import pytest

from headrace.cascade import profile as profile_module
from headrace.cascade.codes_in_words import CodesInWords
from headrace.cascade.profile import profile
from headrace.cascade.run import planned
from headrace.cascade.semantic_ids import load_semantic_ids
from headrace.contracts.errors import DataError
from headrace.contracts.explaining import Interested
from headrace.data.consent import Impersonal
from headrace.data.forget import ERASED, record_erasure
from tests.cascade.shop import write_rich_shop
from tests.cascade.test_hisac import RANK
from tests.data.tables import write_tables


@pytest.fixture(scope="module")
def hisac(tmp_path_factory):
    toml = write_rich_shop(tmp_path_factory.mktemp("profile"))
    toml.write_text(toml.read_text() + RANK)
    return planned(toml, toml.parent / "run")


def events_of(pipeline, user):
    number = pipeline.log.users.encode([user])
    return pipeline.log.store.as_of(number, np.array([pipeline.cuts.last_us + 1]))


def test_the_agents_are_those_that_the_ranker_reads_and_the_items_are_on_their_codes(hisac):
    found = profile(hisac, "c1")
    past = events_of(hisac, "c1")
    assert (found.events, found.read) == (len(past.items), len(past.items)) == (14, 14)
    assert found.agents
    ids = load_semantic_ids(hisac.semantic_ids(hisac.window("rank")[0]))
    words = CodesInWords.told(ids, hisac.log, hisac.window("rank")[0])
    codes = [words.said(item, 2) for item in past.items.tolist()]
    titles = [f"Product {hisac.log.items.decode(np.array([item]))[0][1:]}" for item in past.items.tolist()]
    assert len({agent.codes for agent in found.agents}) == len(found.agents) <= 4
    for agent in found.agents:
        behind = [title for title, code in zip(titles, codes, strict=True) if code == agent.codes]
        assert agent.votes == len(behind)
        assert agent.share == pytest.approx(len(behind) / 14)
        assert agent.newest == list(dict.fromkeys(reversed(behind)))[:3]
    assert found.agents[0].votes == max(agent.votes for agent in found.agents)
    assert np.mean([agent.weight for agent in found.agents]) == pytest.approx(1)
    assert any(word in found.summary for word in ("wool", "steel", "glass"))
    assert found.notes == []


def test_its_seam_says_which_event_is_behind_which_agent(hisac):
    scorer = hisac.scoring("rank").scorer
    assert isinstance(scorer, Interested)
    users = hisac.log.users.encode(["c1", "nobody"])
    told = scorer.agents_of(hisac.requests_of(users, np.full(2, hisac.cuts.last_us + 1)))
    counted = np.bincount(told.of_event[0][told.of_event[0] >= 0], minlength=told.votes.shape[1])
    assert counted.tolist() == told.votes[0].tolist()
    assert told.votes[1].tolist() == [0] * told.votes.shape[1]
    assert (told.of_event[1] == -1).all()


def test_events_sessions_and_categories_by_hand(pipeline):
    found = profile(pipeline, "c1")
    past = events_of(pipeline, "c1")
    numbers = [int(pipeline.log.items.decode(np.array([item]))[0][1:]) for item in past.items.tolist()]
    assert (found.events, found.sessions, found.session_events) == (14, 14, 1.0), "a day apart"
    assert [session.titles for session in found.last_sessions] == [[f"Product {number}"] for number in numbers[:-4:-1]]
    assert found.categories["half 0"] == pytest.approx(sum(number < 12 for number in numbers) / 14)
    assert list(found.categories.values()) == sorted(found.categories.values(), reverse=True)
    assert found.agents is None
    assert "dcnv2" in found.notes[0]
    assert found.summary.startswith("User c1 has 14 events in 14 sessions from 2023-11-15 to 2023-11-28, most of all half 0 (")


def test_as_of_a_moment_the_future_is_not_there(pipeline):
    past = events_of(pipeline, "c1")
    at = datetime.fromtimestamp(past.at_us[5] / 1e6, UTC)
    found = profile(pipeline, "c1", at)
    assert found.events == 5
    assert found.last is not None
    assert found.last < at == found.at
    before = profile(pipeline, "c1", datetime(2020, 1, 1, tzinfo=UTC))
    assert (before.events, before.agents) == (0, None)
    assert before.notes == [
        "no event of a positive kind before 2020-01-01 00:00 UTC: what no retriever can propose for them, popularity does."
    ]


def test_on_a_clock_of_steps_there_are_no_moments_and_no_sessions(pipeline):
    _ = pipeline.cuts  # of a split by time, before the clock is another's
    pipeline.log.clock = "ordinal"
    found = profile(pipeline, "c1")
    assert (found.events, found.sessions, found.first, found.at) == (14, 0, None, None)
    assert "no times" in found.notes[-1]
    assert found.summary.startswith("User c1 has 14 events, most of all half 0 (")
    with pytest.raises(DataError, match="--at: this build's clock counts steps"):
        profile(pipeline, "c1", datetime(2024, 1, 1, tzinfo=UTC))


def test_who_is_not_known_is_an_error_that_names_the_nearest(pipeline):
    with pytest.raises(DataError, match=r'user "c1O" is not in the log, which has 40\. Did you mean "c10?"\?'):
        profile(pipeline, "c1O")


def test_of_who_was_erased_nothing_is_told(hisac):
    record_erasure(hisac.graph.store.root / ERASED, "c2", datetime(2026, 1, 1, tzinfo=UTC))
    with pytest.raises(DataError, match='user "c2" was erased'):
        profile(hisac, "c2")


def test_who_does_not_consent_is_not_looked_at(pipeline, tmp_path, monkeypatch):
    users = {"user_id": ["c1"], "valid_from": [0], "consent_personalise": [False]}
    tables = write_tables(tmp_path / "tables", [("c1", "p1", 1)], users=users)
    monkeypatch.setattr(profile_module, "Impersonal", lambda _: Impersonal(tables))
    found = profile(pipeline, "c1")
    assert (found.events, found.categories, found.last_sessions) == (0, {}, [])
    assert "consent_personalise = false" in found.notes[0]
