import numpy as np
import pytest

from headrace.contracts.config import parse
from headrace.encode.semantic_ids.residual_kmeans import ResidualKMeans
from headrace.recipes import hisac
from headrace.recipes.logs.exposure import ExposureConfig
from headrace.recipes.protocol import reproduce
from headrace.recipes.reporting import read_report

SETTING = next(iter(hisac.work("smoke").settings.values()))


@pytest.fixture(scope="module")
def log():
    settings = parse(ExposureConfig, SETTING["log"], where="test")
    return hisac._world(settings, SETTING["events"], tuple(SETTING["codes"].items()), 0)[0]


def test_smoke_reports_every_arm_and_claim(tmp_path):
    report = reproduce("hisac", "smoke", tmp_path)
    assert {(arm.arm, arm.metric) for arm in report.arms} == {(arm, metric) for arm in hisac.ARMS for metric in hisac.METRICS}
    assert [tested.claim for tested in report.claims] == list(hisac.FURTHER)
    value = {(arm.arm, arm.metric): arm.value for arm in report.arms}
    entropies = [value[arm, hisac.NE] for arm in hisac.ARMS]
    assert len(set(entropies)) == len(entropies), "no two arms are the same"
    assert value["hisac", hisac.BYTES] == value["recent", hisac.BYTES] == 8 * (4 * 16 + 1) / 1000
    assert value["twin", hisac.BYTES] == 100 * (8 * 16 + 1) / 1000
    assert value["hisac", hisac.MACS] == value["hisac, a tenth read", hisac.MACS] == 2 * 8 * 16 / 1000
    assert value["twin", hisac.MACS] == (100 * 16 + 2 * 8 * 16) / 1000
    assert value["all events", hisac.MACS] == 2 * 100 * 16 / 1000
    assert read_report(report.write(tmp_path)) == report


def test_arms_of_claims_are_in_every_budget():
    asked = {arm for claim in (hisac.CLAIM, *hisac.FURTHER) for arm in (claim.better, claim.than)}
    for budget in ("smoke", "cpu", "full"):
        work = hisac.work(budget)
        assert asked <= set(work.arms)
        assert len({len(arm.trials) for arm in work.arms.values()}) == 1, "as many trials each"


def test_arms_differ_in_what_a_candidate_reads_alone(monkeypatch):
    """One set of heads, ages and training; histories read by share, 40 vectors but where all events are."""
    found = []

    def kept(kind, settings, log, lists, seed, *, more):
        found.append(settings)
        assert not lists.candidates.features, "stage 1's score would give the taste away"
        raise InterruptedError

    monkeypatch.setattr(hisac, "trained", kept)
    for how in hisac.ARMS.values():
        with pytest.raises(InterruptedError):
            hisac.run(SETTING, {**how, "learning_rate": 0.01}, 0)
    seen = dict(zip(hisac.ARMS, found, strict=True))
    same = [{name: settings[name] for name in ("loss", "batch_size", "train")} for settings in seen.values()]
    assert all(one == same[0] for one in same)
    assert {arm: settings["history"] for arm, settings in seen.items() if settings["history"] != 100} == {
        "hisac, half read": 50, "hisac, a tenth read": 10, "centres, a tenth read": 10, "recent": 8,
    }  # fmt: skip
    assert {arm for arm, settings in seen.items() if settings["kept"] != 8} == {"all events"}


def test_shares_are_of_the_newest_events_of_each_user(log):
    shares = hisac.topic_shares(log, 10)
    topic = log.world.catalogue.topic
    for row in (0, len(shares) - 1):
        past = topic[log.recalled.requests.history.last(10)[row]]
        past = past[past >= 0]
        wanted = [(past == one).mean() for one in topic[log.recalled.candidates.items[row]]]
        assert shares[row] == pytest.approx(wanted)


def test_requests_carry_more_than_a_thousand_events_where_asked():
    world = {**SETTING["log"]["world"], "activity": 1200.0, "activity_spread": 0.0, "users": 5}
    settings = parse(ExposureConfig, {**SETTING["log"], "world": world}, where="test")
    log, _ = hisac._world(settings, 1100, tuple(SETTING["codes"].items()), 0)
    assert log.recalled.requests.history.lengths.max() == 1100
    assert (np.diff(log.recalled.requests.history.at_us[:1100]) >= 0).all()


def test_codes_are_of_what_was_chosen_before(log, monkeypatch):
    fitted = []
    monkeypatch.setattr(ResidualKMeans, "fit_vectors", lambda self, vectors: fitted.append(len(vectors)))
    monkeypatch.setattr(hisac, "coded", lambda quantiser, vectors: None)
    settings = parse(ExposureConfig, SETTING["log"], where="test")
    hisac._world.__wrapped__(settings, SETTING["events"], tuple(SETTING["codes"].items()), 0)
    assert fitted == [(log.interactions.item_counts() > 0).sum()]
