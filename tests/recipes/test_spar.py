from dataclasses import replace

import numpy as np
import pytest

from headrace.recipes import spar
from headrace.recipes.logs import readers
from headrace.recipes.logs.one_liked import AUC
from headrace.recipes.protocol import reproduce
from headrace.recipes.reporting import read_report

SETTING = next(iter(spar.work("smoke").settings.values()))


@pytest.fixture(scope="module")
def of(tmp_path_factory):
    readers.open_films(tmp_path_factory.mktemp("films"), SETTING["data"])
    return readers.asked_of(SETTING, 0)


def test_smoke_reports_every_arm_and_claim(tmp_path):
    report = reproduce("spar", "smoke", tmp_path)
    arms = set(spar.ARMS) - {spar.MINILM}
    found = {arm: {one.metric for one in report.arms if one.arm == arm} for arm in arms}
    assert {one.arm for one in report.arms} == arms
    assert all(set(readers.FIGURES) <= metrics for metrics in found.values())
    assert {arm for arm, metrics in found.items() if spar.ENTROPY in metrics} == {
        "spar", "spar, dense", "spar, with a summary", "spar, no UIE", "spar, no CCS", "spar, no sessions",
    }  # fmt: skip
    assert [tested.claim for tested in report.claims] == list(spar.FURTHER)
    value = {(one.arm, one.metric): one.value for one in report.arms}
    assert value["spar", spar.ENTROPY] < value["spar, dense", spar.ENTROPY]
    reciprocal = [value[arm, "MRR"] for arm in arms]
    assert len(set(reciprocal)) == len(reciprocal), "no two arms are the same"
    assert read_report(report.write(tmp_path)) == report


def test_arms_of_claims_are_in_every_budget():
    asked = {arm for claim in (spar.CLAIM, *spar.FURTHER) for arm in (claim.better, claim.than)}
    for budget in ("smoke", "cpu", "full"):
        work = spar.work(budget)
        assert asked <= set(work.arms)
        assert len({len(arm.trials) for name, arm in work.arms.items() if name != spar.MINILM}) == 1, "as many trials each"
    assert spar.MINILM in spar.work("cpu").arms


def test_arms_differ_in_how_a_user_is_made_alone(monkeypatch, of):
    """One reader, history, candidates and training."""
    found: list[dict[str, object]] = []

    def kept(kind, settings, log, lists, seed, *, more):
        found.append(settings)
        assert log is of
        assert more["item_texts"] == of.films.texts("genres", "title", "overview")
        raise InterruptedError

    monkeypatch.setattr(readers, "trained", kept)
    for arm, how in spar.ARMS.items():
        if arm == spar.MINILM:
            continue
        with pytest.raises(InterruptedError):
            spar.run(SETTING, {**how, "learning_rate": 0.003}, 0)
    same = [
        {name: one[name] for name in ("reader", "history", "width", "batch_size", "side_dim", "train", "beside")} for one in found
    ]
    assert all(one == same[0] for one in same)
    assert same[0]["beside"] is False, "popularity says nothing"


def test_histories_are_cut_where_fewer_films_are_read(of):
    """By counts of what is read: all lists keep their films, and the histories are the newest five."""
    read = []

    def counted(lists):
        read.append(lists.requests.history.lengths)
        return lists.label

    found = readers.figures_by(counted, of)
    assert (read[1] == np.minimum(read[0], 5)).all()
    assert read[0].max() == 6
    assert (found[AUC] == 1).all()
    assert not found[readers.GAINED].any()
    users = np.unique(of.test.requests.users)
    assert len(found[readers.NEWCOMERS]) == of.apart[users].sum() < len(users)


def test_likeness_is_to_the_mean_of_what_was_read(of):
    vectors = np.random.default_rng(0).normal(size=(len(of.films.log.items), 3)).astype(np.float32)
    lists = of.test.take(np.arange(2))
    found = readers.by_likeness(vectors, lists, 4)
    past = lists.requests.history.take([1]).items[-4:]
    wanted = vectors[lists.candidates.items[1]] @ vectors[past].sum(0)
    assert found[1] == pytest.approx(wanted + (4 - len(past)) * 0, abs=1e-5)


def test_summaries_are_of_what_was_liked_before_any_list(of):
    """Genres of later films are in no sentence."""
    texts = readers.written(of, "extractive").texts
    early = of.early.history
    for user in np.unique(of.test.requests.users):
        films = early.items[early.offsets[user] : early.offsets[user + 1]]
        had = {of.films.names[place].lower() for place in np.flatnonzero(of.films.genres[films].any(0))}
        said = {one.strip() for part in texts[user].removeprefix("likes ").split("; recently ") for one in part.split(",")}
        assert said <= had
        assert readers.named(texts[user]) <= said
    assert not any(readers.written(of, "none").texts)


def test_figures_are_of_users_asked_with_every_seed(of):
    """With one of the second seed left out of the draws, as who rated nearly everything may be."""
    seeds = [readers.asked_of(SETTING, seed) for seed in (0, 1)]
    users = [np.unique(one.test.requests.users) for one in seeds]
    gone = users[1][of.apart[users[1]]][0]
    some = seeds[1].test.take(np.flatnonzero(seeds[1].test.requests.users != gone))
    shorter = {0: seeds[0], 1: replace(seeds[1], test=some)}
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(readers, "asked_of", lambda setting, seed: shorter[seed])
        places = [readers.in_every_seed(SETTING, False, seed, 2) for seed in (0, 1)]
        newcomers = [readers.in_every_seed(SETTING, True, seed, 2) for seed in (0, 1)]
        assert len(spar.kept(SETTING, spar.ENTROPY, 1, 2)) == 1
    shown = [np.unique(shorter[seed].test.requests.users)[places[seed]] for seed in (0, 1)]
    assert np.array_equal(shown[0], shown[1])
    assert gone not in shown[0]
    assert len(shown[0]) == len(users[0]) - 1
    assert [len(one) for one in newcomers] == [of.apart[users[0]].sum() - 1] * 2
