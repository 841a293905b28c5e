import numpy as np
import pytest

from headrace.world.live import World
from headrace.world.policies import oracle
from tests.world.tiny import TINY, logger


def test_what_happens_is_what_was_expected(lived):
    """Sums of outcomes against sums of true expectations, within four standard deviations of the true law."""
    world, outcomes = lived
    chance = np.concatenate([o.expected["click"].ravel() for o in outcomes])
    for task in ("click", "purchase", "satisfied"):
        p = np.concatenate([o.expected[task].ravel() for o in outcomes])
        seen = sum(int(getattr(o, task).sum()) for o in outcomes)
        assert seen > 20
        assert abs(seen - p.sum()) < 4 * np.sqrt((p * (1 - p)).sum()), task
    dwell = np.concatenate([o.expected["dwell_s"].ravel() for o in outcomes])
    mean = dwell / chance
    variance = chance * mean**2 * np.exp(TINY.dwell_spread**2) - dwell**2
    assert abs(sum(o.dwell_s.sum() for o in outcomes) - dwell.sum()) < 4 * np.sqrt(variance.sum())
    examined = np.mean([o.examined.mean(0) for o in outcomes], 0)
    rows = sum(len(o.requests) for o in outcomes)
    assert (abs(examined - world.truth.examination(3)) < 4 * np.sqrt(0.25 / rows)).all()


def test_calibrated_by_how_likely_too(lived):
    """Not on average alone: in each quarter of the chances."""
    _, outcomes = lived
    p, click = (np.concatenate([x.ravel() for x in values]) for values in zip(
        *((o.expected["click"], o.click) for o in outcomes), strict=True))  # fmt: skip
    for part in np.array_split(np.argsort(p), 4):
        assert abs(click[part].sum() - p[part].sum()) < 4 * np.sqrt((p[part] * (1 - p[part])).sum())


def test_causes_come_first(lived):
    _, outcomes = lived
    for outcome in outcomes:
        asked = outcome.requests.at_us[:, None]
        assert (outcome.at_us["click"] > asked).all()
        for kind in ("dwell", "satisfied", "purchase"):
            assert (outcome.at_us[kind] >= outcome.at_us["click"]).all()
        for then, cause in (
            (outcome.click, outcome.examined),
            (outcome.purchase, outcome.click),
            (outcome.satisfied, outcome.click),
        ):
            assert not (then & ~cause).any()
        assert ((outcome.dwell_s > 0) == outcome.click).all()
        last = max(int(outcome.at_us[kind].max()) for kind in outcome.at_us)
        assert last < outcome.requests.at_us.max() // 86_400_000_000 * 86_400_000_000 + 86_400_000_000


def test_the_same_item_gets_the_same_answer_whoever_shows_it():
    mine, theirs = World(TINY, 1), World(TINY, 1)
    first = mine.step(logger())
    second = theirs.step(logger(policy_id="another"))
    same = (first.shown == second.shown) & (first.shown > 0)
    assert 0.1 < same.mean() < 0.9
    assert (first.click[same] == second.click[same]).all()
    assert (first.dwell_s[same] == second.dwell_s[same]).all()


def test_regret(lived):
    _, outcomes = lived
    for outcome in outcomes:
        assert outcome.regret.min() >= 0
        assert outcome.regret.mean() > 0.01
    world = World(TINY, 1)
    best = world.step(oracle(world.truth))
    assert (best.regret[~best.random] == 0).all()


def test_regret_that_was_not_asked_for_says_so():
    outcome = World(TINY, 1).step(logger(), regret=False)
    with pytest.raises(ValueError, match="regret=True"):
        _ = outcome.regret
