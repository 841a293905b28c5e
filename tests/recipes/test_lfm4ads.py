import numpy as np
import pytest

from headrace.data.foundation import USER
from headrace.methods.rank.lfm4ads import LFM4AdsConfig
from headrace.recipes import lfm4ads
from headrace.recipes.papers import papers
from headrace.recipes.protocol import reproduce
from headrace.recipes.reporting import read_report, text

MAIN, FILMS = lfm4ads.work("smoke").settings


def test_smoke_reports_every_arm_and_claim(tmp_path):
    report = reproduce("lfm4ads", "smoke", tmp_path)
    assert {arm.arm for arm in report.arms if arm.protocol == MAIN} == set(lfm4ads.ARMS)
    assert {arm.arm for arm in report.arms if arm.protocol == FILMS} >= {
        arm for arm, how in lfm4ads.ARMS.items() if "retrieval" not in how
    }
    assert [tested.claim for tested in report.claims] == list(lfm4ads.FURTHER)
    value = {(arm.arm, arm.metric): arm.value for arm in report.arms if arm.protocol == MAIN}
    ranked = [arm for arm, how in lfm4ads.ARMS.items() if "retrieval" not in how]
    found = {arm: tuple(value[arm, metric] for metric in lfm4ads.EACH[:3]) for arm in ranked}
    layers = value["CR, gate", lfm4ads.LAYER], value["CR, gate, last layer", lfm4ads.LAYER]
    if layers[0] == layers[1] > 0:  # the search chose the last layer, so these two are one arm
        assert found.pop("CR, gate, last layer") == found["CR, gate"]
    assert len(set(found.values())) == len(found), "no two arms are the same"
    proposed = [value[arm, lfm4ads.COLD] for arm in lfm4ads.ARMS if arm not in ranked]
    assert len(set(proposed)) == len(proposed) == 3
    assert value["CR, gate, embeddings", lfm4ads.LAYER] == 0
    small = np.mean([value["none", metric] for metric in lfm4ads.EACH[1:3]])
    assert value["none", lfm4ads.SMALL] == pytest.approx(small)
    assert value["none", lfm4ads.SHRINKS] == pytest.approx(small - value["none", lfm4ads.EACH[0]])
    assert read_report(report.write(tmp_path)) == report
    assert "retrieval, CR" in text(report), "an arm without the first metric has its line"
    assert "| retrieval, CR |" in papers(tmp_path)


def test_arms_of_claims_are_in_every_budget():
    asked = {arm for claim in (lfm4ads.CLAIM, *lfm4ads.FURTHER) for arm in (claim.better, claim.than)}
    for budget in ("smoke", "cpu", "full"):
        work = lfm4ads.work(budget)
        assert asked <= set(work.arms)
        assert len({len(arm.trials) for arm in work.arms.values()}) == 1, "as many trials each"


def test_arms_differ_in_what_is_transferred_alone(monkeypatch):
    """One log, one upstream, one set of layers and one training; settings that are no setting of the ranker are an error."""
    found = []

    def kept(kind, settings, log, lists, seed, *, more):
        found.append((kind.Config(**{**settings, "train": kind.Config().train}), settings["train"], log, more["foundation"]))
        raise InterruptedError

    monkeypatch.setattr(lfm4ads, "trained", kept)
    setting = lfm4ads.work("smoke").settings[MAIN]
    ranked = [arm for arm, how in lfm4ads.ARMS.items() if "retrieval" not in how]
    for arm in ranked:
        with pytest.raises(InterruptedError):
            lfm4ads.run(setting, {"arm": arm, "learning_rate": 0.01}, 0)
    seen = dict(zip(ranked, found, strict=True))
    own = {"reads", "adapter", "isomorphic"}
    same = [{name: getattr(one, name) for name in LFM4AdsConfig.__dataclass_fields__ if name not in own} for one, *_ in found]
    assert all(one == same[0] for one in same)
    assert all(train == found[0][1] for _, train, *_ in found)
    assert all(one.interactions is found[0][2].interactions for _, _, one, _ in found)
    block = [known.block["crosses.0.weight"] for *_, known in found]
    assert all(np.array_equal(one, block[0]) for one in block), "one upstream"
    lengths = {arm: one.lists.requests.history.lengths.mean() for arm, (_, _, one, _) in seen.items()}
    assert {arm for arm, length in lengths.items() if length != lengths["none"]} == {"none, all events"}
    streamed, leaking = (seen[arm][2].lists.requests.features[USER] for arm in ("CR, gate", "CR, gate, leaking"))
    assert not np.array_equal(streamed, leaking)


def test_halves_are_by_rows_and_settled_beforehand():
    assert lfm4ads.halves(8) == (slice(4, None), slice(0, 2))
    assert lfm4ads.halves(2) == (slice(1, None), slice(0, 1))


def test_settings_survive_the_cache():
    settings = {"a": 1, "world": {"users": 5, "inner": {"ctr": 0.5}}}
    assert lfm4ads.thawed(lfm4ads.frozen(settings)) == settings
