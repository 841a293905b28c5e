import numpy as np
import pytest

from headrace.recipes import embsum, spar
from headrace.recipes.logs import readers
from headrace.recipes.protocol import reproduce
from headrace.recipes.reporting import read_report

SETTING = next(iter(embsum.work("smoke").settings.values()))


@pytest.fixture(scope="module")
def of(tmp_path_factory):
    readers.open_films(tmp_path_factory.mktemp("films"), SETTING["data"])
    return readers.asked_of(SETTING, 0)


def test_smoke_reports_every_arm_and_claim(tmp_path):
    report = reproduce("embsum", "smoke", tmp_path)
    arms = set(embsum.work("smoke").arms)
    assert {(one.arm, one.metric) for one in report.arms} == {(arm, metric) for arm in arms for metric in embsum.METRICS}
    assert [tested.claim for tested in report.claims] == list(embsum.FURTHER)
    value = {(one.arm, one.metric): one.value for one in report.arms}
    assert value["spar", embsum.SAID] == value["embsum, no summary", embsum.SAID] == 0
    assert value[embsum.EVERYONE, "AUC"] == 0.5
    assert 0 < value[embsum.EVERYONE, embsum.SAID] < 1
    assert read_report(report.write(tmp_path)) == report


def test_arms_of_claims_are_in_every_budget():
    asked = {arm for claim in (embsum.CLAIM, *embsum.FURTHER) for arm in (claim.better, claim.than)}
    for budget in ("smoke", "cpu", "full"):
        work = embsum.work(budget)
        assert asked <= set(work.arms)
        assert len({len(arm.trials) for name, arm in work.arms.items() if name != embsum.EVERYONE}) == 1, "as many trials each"
    assert set(embsum.work("full").arms) == set(embsum.ARMS)


def test_its_spar_is_spars(monkeypatch, of):
    monkeypatch.setattr(spar, "run", lambda setting, arm, seed: {"arm": arm, "seed": seed})
    found = embsum.run(SETTING, {"ranker": "spar", "learning_rate": 0.1}, 0)
    assert found["arm"] == {"ranker": "spar", "learning_rate": 0.1}
    assert spar.ARMS["spar"] == embsum.ARMS["spar"]
    assert spar.work("cpu").settings == embsum.work("cpu").settings


def test_the_share_said_is_of_what_was_liked_by_then_and_of_newcomers(of):
    """Held against a plain count, with the same weights of genres."""
    test = of.test.take(np.flatnonzero(of.apart[of.test.requests.users]))
    true = readers.three_genres(of, test)
    names, genres, events = of.films.names, of.films.genres, of.films.log.store.events
    weight = np.log((1 + len(genres)) / (1 + genres.sum(0))) + 1
    for row, wanted in enumerate(true):
        user, at_us = test.requests.users[row], test.requests.at_us[row]
        mine = slice(events.offsets[user], events.offsets[user + 1])
        liked = events.items[mine][events.at_us[mine] < at_us]
        loud = genres[liked].sum(0) * weight
        best = sorted(range(len(names)), key=lambda one: (-round(loud[one], 4), names[one]))[:3]
        assert wanted == {names[one].lower() for one in best if loud[one] > 0}
    assert embsum._shares(["likes " + ", ".join(sorted(of_row)) for of_row in true], of, test) == pytest.approx(1.0)
    assert not embsum._shares(["nothing at all; likes"] * len(test), of, test).any()


def test_a_writer_that_says_everything_is_heard_three_genres_long():
    assert readers.named("likes drama, horror, western, comedy; recently musical") == {"drama", "horror", "western"}
    assert readers.named("") == set()


def test_said_of_everyone_is_what_is_said_most(of):
    texts = [text for text, apart in zip(readers.written(of, "extractive").texts, of.apart, strict=True) if text and not apart]
    said = readers.named(embsum.commonest(of))
    counts = {
        name: sum(name in readers.named(text) for text in texts) for name in ("comedy", "drama", "horror", "musical", "western")
    }
    assert len(said) == 3
    assert min(counts[name] for name in said) >= max(counts[name] for name in counts if name not in said)
