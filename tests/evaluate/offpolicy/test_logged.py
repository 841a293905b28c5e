import numpy as np
import polars as pl
import pytest

from headrace.contracts.config import parse
from headrace.contracts.errors import DataError
from headrace.contracts.tables import CANDIDATES, EVENTS, REQUESTS, TIME
from headrace.data.labels import TaskConfig
from headrace.data.shape import in_shape
from headrace.data.vocabulary import Vocabulary
from headrace.evaluate.offpolicy.judging import judge
from headrace.evaluate.offpolicy.logged import LoggedSlates, policies_of, rewarded, rewarded_by_name, target_log_prob
from headrace.methods.page.explore import ExploreConfig
from headrace.methods.page.explore.policy import Explore
from headrace.testing.examples import some_candidates, some_requests

HOUR = 3_600_000_000
TASK = parse(TaskConfig, {"event": "click", "window_h": 10}, where="test")
USERS, ITEMS = Vocabulary(["ann", "bob"]), Vocabulary([f"i{number}" for number in range(1, 20)])
SHOWN = [
    ("r1", "i1", 1, 0.5), ("r1", "i2", 2, 0.4), ("r2", "i3", 1, 0.3), ("r2", "i1", 3, 0.2), ("r3", "i2", 1, 0.9),
]  # fmt: skip
CLICKS = [
    ("c1", "r1", "ann", "i2", 2, 3.0, None),
    ("c2", "r2", "bob", "i1", 3, 4.0, None),
    ("c3", "r2", "bob", "i1", 3, 2.5, None),
]
CUT = 90 * HOUR


def write_log(folder, shown=SHOWN, clicks=CLICKS, policies=("p", "p", "q")):
    requests = pl.DataFrame({
        "request_id": ["r1", "r2", "r3"], "user_id": ["ann", "bob", "ann"], "at": [1, 2, 85], "surface": "home",
        "policy_id": policies, "seed": 0,
    }).with_columns((pl.col("at") * HOUR).cast(TIME))  # fmt: skip
    candidates = pl.DataFrame(
        [*((*row, "shown") for row in shown), ("r1", "i9", None, None, "recalled")],
        schema={
            "request_id": pl.String,
            "item_id": pl.String,
            "position": pl.Int32,
            "propensity": pl.Float64,
            "stage": pl.String,
        },
        orient="row",
    ).with_columns(logged_p=pl.lit(1.0))
    events = pl.DataFrame(
        clicks, schema=["event_id", "request_id", "user_id", "item_id", "at", "value", "undoes"], orient="row"
    ).with_columns((pl.col("at") * HOUR).cast(TIME), pl.col("undoes").cast(pl.String), kind=pl.lit("click"))
    for frame, table in ((requests, REQUESTS), (candidates, CANDIDATES), (events, EVENTS)):
        in_shape(frame, table).write_parquet(folder / f"{table.name}.parquet")
    return folder


def test_pages_come_from_the_tables_with_their_holes(tmp_path):
    tables = write_log(tmp_path)
    logged = LoggedSlates.from_rows(rewarded(tables, TASK, CUT), USERS.encode, ITEMS.encode, policies=policies_of(tables))
    assert logged.request_ids.tolist() == ["r1", "r2"]  # the window of r3 had not closed
    assert logged.users.tolist() == [1, 2]
    assert logged.items.tolist() == [[1, 2, 0], [3, 0, 1]]
    assert logged.propensity.tolist() == [[0.5, 0.4, 1.0], [0.3, 1.0, 0.2]]
    assert logged.reward.tolist() == [[0, 1, 0], [0, 0, 1]]
    assert logged.policies.tolist() == ["p", "p"]


def test_outcomes_that_name_their_request_give_values(tmp_path):
    tables = write_log(tmp_path, clicks=[*CLICKS, ("c4", "r1", "ann", "i1", 4, 9.0, "c2")])
    rows = rewarded_by_name(tables, "click", CUT, value=True)
    logged = LoggedSlates.from_rows(rows, USERS.encode, ITEMS.encode)
    assert logged.reward.tolist() == [[9, 3, 0], [0, 0, 2.5], [0, 0, 0]]  # c4 took c2 back
    assert LoggedSlates.from_rows(rewarded_by_name(tables, "click", CUT), USERS.encode, ITEMS.encode).reward.sum() == 3
    assert rewarded_by_name(tables, "click", 80 * HOUR)["request_id"].unique().sort().to_list() == ["r1", "r2"]


def test_positions_from_zero_are_slots(tmp_path):
    tables = write_log(tmp_path, shown=[(request, item, place - 1, p) for request, item, place, p in SHOWN])
    assert LoggedSlates.from_rows(rewarded(tables, TASK, CUT), USERS.encode, ITEMS.encode).items.tolist() == [
        [1, 2, 0],
        [3, 0, 1],
    ]


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (
            ("r1", "i2", 2, None),
            'propensity: 1 of 4 shown items have none, the first in request "r1", item "i2"; it is never read as 1',
        ),
        (("r1", "i2", None, 0.4), "position: 1 of 4 shown items have none"),
        (("r1", "i2", 1, 0.4), 'request "r1" shows two items at position 1'),
        (("r1", "i2", 2, 0.0), "is not above 0, the first in row 0, slot 1"),
        (("r1", "i2", 2, 1.2), "is above 1, the first in row 0, slot 1"),
    ],
)
def test_a_bad_row_is_named(tmp_path, row, says):
    tables = write_log(tmp_path, shown=[row if one[:2] == row[:2] else one for one in SHOWN])
    with pytest.raises(DataError, match=says):
        LoggedSlates.from_rows(rewarded(tables, TASK, CUT), USERS.encode, ITEMS.encode)


def test_rows_need_their_columns(tmp_path):
    rows = rewarded(write_log(tmp_path), TASK, CUT)
    with pytest.raises(DataError, match="no column reward"):
        LoggedSlates.from_rows(rows.drop("reward"), USERS.encode, ITEMS.encode)
    with pytest.raises(DataError, match="nothing was shown"):
        LoggedSlates.from_rows(rows.clear(), USERS.encode, ITEMS.encode)


def test_a_policy_without_chance_is_named_and_can_be_left_out(tmp_path):
    tables = write_log(
        tmp_path, shown=[(*row[:3], 1.0 if row[0] == "r2" else row[3]) for row in SHOWN], policies=("p", "fixed", "q")
    )
    logged = LoggedSlates.from_rows(rewarded(tables, TASK, CUT), USERS.encode, ITEMS.encode, policies=policies_of(tables))
    assert logged.deterministic == ["fixed"]
    assert "fixed showed every page without chance" in logged.refusal
    assert logged.slates().deterministic
    found = judge(logged, logged.log_prob)
    assert found[0].value == 1.0
    assert {one.reason for one in found[1:]} == {logged.refusal}
    kept = logged.take(~np.isin(logged.policies, logged.deterministic))
    assert (kept.refusal, kept.slates().policy_id, len(kept)) == ("", "p", 1)


def test_a_pinned_slot_is_no_reason_to_refuse():
    logged = LoggedSlates(
        np.array(["a", "b"]), np.array([1, 2], np.int32), np.array([[1, 2], [1, 3]], np.int32),
        np.array([[1.0, 0.5], [1.0, 0.5]]), np.zeros((2, 2)), np.array(["p", "p"]),
    )  # fmt: skip
    assert logged.refusal == ""


def logged_by(policy, requests, candidates):
    shown = policy.act(requests, candidates, seed=1)
    reward = (shown.items % 4 == 1).astype(np.float64)
    policies = np.full(len(requests), policy.policy_id)
    return LoggedSlates(requests.ids, requests.users, shown.items, shown.propensity, reward, policies)


def test_a_target_is_asked_about_the_logged_pages():
    requests = some_requests(500)
    candidates = some_candidates(requests)
    logger = Explore(ExploreConfig(slots=2, temperature=1.0, epsilon=0.2), policy_id="logger")
    logged = logged_by(logger, requests, candidates)
    np.testing.assert_allclose(target_log_prob(logger, requests, logged, candidates), logged.log_prob, atol=1e-12)
    itself = judge(logged, target_log_prob(logger, requests, logged, candidates))
    assert [one.value for one in itself] == pytest.approx([logged.reward.sum(1).mean()] * 4)
    with pytest.raises(DataError, match="not the logged ones"):
        target_log_prob(logger, requests.take(np.arange(500)[::-1]), logged, candidates)


def test_logs_of_several_policies_are_judged_together():
    requests = some_requests(1600)
    candidates = some_candidates(requests)
    warm, cool, target = (
        Explore(ExploreConfig(slots=2, temperature=t, epsilon=0.1), policy_id=f"t{t}") for t in (2.0, 0.7, 0.4)
    )  # fmt: skip
    halves = [np.arange(1600) % 2 == part for part in (0, 1)]
    parts = [
        logged_by(policy, requests.take(np.flatnonzero(half)), candidates.take(half))
        for policy, half in zip((warm, cool), halves, strict=True)
    ]
    order = np.concatenate([np.flatnonzero(half) for half in halves])
    names = ("request_ids", "users", "items", "propensity", "reward", "policies")
    logged = LoggedSlates(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))
    assert logged.slates().policy_id == "mixed"
    chances = target_log_prob(target, requests.take(order), logged, candidates.take(order))
    truth = np.mean([logged_by(target, requests, candidates).reward.sum(1).mean()])
    for one in judge(logged, chances)[1:]:
        assert one.lo - 0.05 < truth < one.hi + 0.05  # the truth is a draw of 1600 pages itself, known to 0.015
        assert one.status == "evidence"
