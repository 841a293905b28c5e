from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from headrace.contracts.tables import CANDIDATES, EVENTS, REQUESTS
from headrace.world.live import World
from headrace.world.policies import oracle
from headrace.world.tables import candidate_frames, outcomes_frame, requests_frame
from tests.world.tiny import TINY, logger


def logged(world, outcome):
    candidates, truths = zip(*candidate_frames(world, outcome), strict=True)
    return pl.concat(candidates), pl.concat(truths)


def test_every_recalled_candidate_is_there_with_its_stage_and_scores(lived):
    world, outcomes = lived
    outcome = outcomes[1]
    candidates, truth = logged(world, outcome)
    assert candidates.schema == CANDIDATES.schema()
    assert len(candidates) == len(outcome.requests) * TINY.recalled
    assert candidates.select("request_id", "item_id").is_unique().all()
    assert truth.select("request_id", "item_id").equals(candidates.select("request_id", "item_id"))
    shown = candidates.filter(stage="shown")
    assert len(shown) == len(outcome.requests) * TINY.slots
    assert shown["propensity"].is_between(0, 1, closed="right").all()
    assert candidates.filter(pl.col("stage") != "shown")["propensity"].is_null().all()
    stages = candidates.explode("scores").unnest("scores", separator=".")
    counts = dict(stages.group_by("scores.stage").len().iter_rows())
    requests = len(outcome.requests)
    assert counts == {"nearest": 20 * requests, "popular": 10 * requests, "uniform": 6 * requests, "stage1": 36 * requests,
                      "stage2": 12 * requests}  # fmt: skip


def test_the_rows_say_what_happened(lived):
    """Positions, propensities and scores of one request, by hand."""
    world, outcomes = lived
    outcome = outcomes[0]
    candidates, truth = logged(world, outcome)
    row = int(np.flatnonzero(~outcome.random)[3])
    mine = candidates.filter(request_id=str(outcome.requests.ids[row]))
    page = mine.filter(stage="shown").sort("position")
    assert page["item_id"].to_list() == [f"i{item:06d}" for item in outcome.shown[row]]
    np.testing.assert_allclose(page["propensity"].to_numpy(), np.exp(outcome.served.log_prob[row]))
    item = outcome.offered.items[row, 2]
    scores = mine.filter(item_id=f"i{item:06d}")["scores"][0].to_list()
    assert scores[1]["score"] == pytest.approx(float(outcome.offered.scores["stage1"][row, 2]))
    assert scores[2]["score"] == pytest.approx(float(outcome.offered.scores["stage2"][row, 2]))
    told = truth.filter(request_id=str(outcome.requests.ids[row]), item_id=f"i{item:06d}")
    wanted = world.truth.chances(outcome.requests.users[row : row + 1], np.array([[item]]), outcome.requests.at_us[row : row + 1])
    assert told["click"][0] == pytest.approx(wanted.click[0, 0], rel=1e-5)
    assert told["value"][0] == pytest.approx(wanted.value[0, 0], rel=1e-5)


def test_requests_say_who_answered_and_over_what(lived):
    world, outcomes = lived
    frame = requests_frame(world, outcomes[2])
    assert frame.select(REQUESTS.names).schema == REQUESTS.schema()
    assert set(frame.filter(pl.col("random"))["policy_id"]) <= {"uniform"}
    assert set(frame.filter(~pl.col("random"))["policy_id"]) == {"logger"}
    assert set(frame.filter(~pl.col("random"))["support"]) == {"considered"}


def test_exposure_comes_before_outcome(lived):
    world, outcomes = lived
    for outcome in outcomes:
        events = outcomes_frame(world, outcome)
        assert events.schema == EVENTS.schema()
        assert events["event_id"].is_unique().all()
        asked = requests_frame(world, outcome).select("request_id", asked="at")
        shown = logged(world, outcome)[0].filter(stage="shown").select("request_id", "item_id", shown="position")
        joined = events.join(asked, on="request_id").join(shown, on=["request_id", "item_id"])
        assert len(joined) == len(events) > 0
        assert (joined["at"] > joined["asked"]).all()
        assert (joined["position"] == joined["shown"]).all()
    dwell = events.filter(kind="dwell")
    assert dwell["value"].is_not_null().all()
    assert (events.filter(pl.col("kind") != "dwell")["value"].is_null()).all()


def test_a_deterministic_logger_is_marked_and_has_no_propensity():
    config = replace(TINY, temperature=0.0, epsilon=0.0, position_bias=0.0)
    world = World(config, 1)
    outcome = world.step(logger(config, "noisy-top"), regret=False)
    considered = np.nan_to_num(outcome.offered.scores["stage2"], nan=-np.inf)
    top = np.argsort(-considered, axis=1, kind="stable")[:, : TINY.slots]
    best = np.take_along_axis(outcome.offered.items, top, 1)
    assert (outcome.shown == best)[~outcome.random].all()
    frame, (candidates, _) = requests_frame(world, outcome), logged(world, outcome)
    assert (frame["deterministic"] == ~frame["random"]).all()
    shown = candidates.filter(stage="shown").join(frame, on="request_id")
    assert shown.filter("deterministic")["propensity"].is_null().all()
    assert shown.filter(~pl.col("deterministic"))["propensity"].is_not_null().all()


def test_a_policy_that_finds_its_own_logs_what_it_showed():
    world = World(TINY, 1)
    outcome = world.step(oracle(world.truth))
    candidates, truth = logged(world, outcome)
    flagged = int(outcome.random.sum())
    assert len(candidates) == (len(outcome.requests) - flagged) * TINY.slots + flagged * TINY.recalled
    assert len(truth) == len(candidates)
    own = candidates.join(requests_frame(world, outcome).filter(support="own"), on="request_id")
    assert set(own["stage"]) == {"shown"}
    assert own["scores"].is_null().all()
