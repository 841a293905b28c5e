"""What a ranker reads a user as in words: in a profile and for an explanation, of who consents alone."""

from datetime import UTC, datetime

import numpy as np
import pytest

from headrace.cascade import profile as profile_module
from headrace.cascade import reads_as as module
from headrace.cascade.profile import profile
from headrace.cascade.reads_as import built_of, reads_as, said_of
from headrace.cascade.run import planned
from headrace.cascade.scoring import Scoring
from headrace.cascade.summaries import load_summaries
from headrace.data.consent import Impersonal
from tests.cascade.shop import write_shop
from tests.cascade.summarised_ranker import NAME, RANK
from tests.data.tables import write_tables


@pytest.fixture(scope="module")
def summarised(tmp_path_factory):
    toml = write_shop(tmp_path_factory.mktemp("reads_as"))
    toml.write_text(toml.read_text() + RANK)
    return planned(toml, toml.parent / "run")


def summary_of(pipeline, user):
    texts = load_summaries(pipeline.summaries(pipeline.window("rank")[0])).texts
    return texts[pipeline.log.users.encode([user])[0]]


def test_it_is_the_summary_that_the_ranker_was_built_with(summarised):
    wanted = f"{summary_of(summarised, 'c1')} of 14 events"
    assert wanted.startswith("likes ")
    assert reads_as(summarised, "c1") == wanted
    assert profile(summarised, "c1").reads_as == wanted
    assert profile(summarised, "c1").notes == [
        f'the ranker "{NAME}" has no agents: it does not read a user as a few interests. hisac does.'
    ]


def test_of_a_moment_before_it_learned_a_profile_says_that_it_may_know_more(summarised):
    start = datetime.fromtimestamp(summarised.window("rank")[0] / 1e6, UTC)
    found = profile(summarised, "c1", datetime(2023, 11, 18, tzinfo=UTC))
    assert found.events < 5
    assert found.notes[-1].endswith(f"may be of events up to {start:%Y-%m-%d %H:%M} UTC, when it began to learn.")


def test_who_is_not_known_or_does_not_consent_has_none(summarised, tmp_path, monkeypatch):
    assert reads_as(summarised, "nobody") == ""
    users = {"user_id": ["c1"], "valid_from": [0], "consent_personalise": [False]}
    tables = write_tables(tmp_path / "tables", [("c1", "p1", 1)], users=users)
    for one in (module, profile_module):
        monkeypatch.setattr(one, "Impersonal", lambda _: Impersonal(tables))
    assert reads_as(summarised, "c1") == ""
    assert profile(summarised, "c1").reads_as == ""
    assert reads_as(summarised, "c2")


def test_a_ranker_that_reads_no_words_says_none(pipeline):
    assert reads_as(pipeline, "c1") == ""
    assert profile(pipeline, "c1").reads_as == ""


class Words:
    def __init__(self, word):
        self.word = word

    def summaries_of(self, requests):
        return [self.word] * len(requests)


class Served:
    def __init__(self, built):
        self.built = built


class LookedUp:
    def __init__(self, served):
        self.served = served


def test_of_several_stages_the_last_that_reads_words_speaks_also_through_what_serves_it(pipeline):
    requests = pipeline.requests_of(pipeline.log.users.encode(["c1", "c2"]), np.full(2, pipeline.cuts.test_us))
    stages = [Scoring("prerank", "a", Words("first"), 5), Scoring("rank", "b", Served(Words(" second\nline")), 5)]
    assert said_of(stages, requests) == ["second line"] * 2
    assert said_of([stages[0], Scoring("rank", "c", Served(None), 5)], requests) == ["first"] * 2
    assert said_of([Scoring("rank", "d", LookedUp(Served(Words("third"))), 5)], requests) == ["third"] * 2
    assert said_of([], requests) == ["", ""]
    assert built_of(stages[0].scorer).word == "first"


def test_one_without_a_summary_is_told_apart(pipeline, monkeypatch):
    scoring = Scoring("rank", "spar", Words(""), 5)
    monkeypatch.setattr(type(pipeline), "scoring", lambda self, stage: scoring)
    assert profile(pipeline, "c1").notes[-1] == "dcnv2 has no summary of them."
