"""Hand-made cases: hours after the epoch, one user and item unless it says so; and that nothing past the cut matters."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.contracts.config import parse
from headrace.contracts.errors import ConfigError, DataError
from headrace.contracts.tables import CANDIDATES, EVENTS, REQUESTS, TIME
from headrace.data.clocks import write_clock
from headrace.data.labels import TaskConfig, label, labels_of
from headrace.data.shape import in_shape
from tests.data.tables import write_tables

HOUR = 3_600_000_000
CUT = 100 * HOUR


def task(credit="last_impression", window_h=10):
    return parse(TaskConfig, {"event": "buy", "window_h": window_h, "credit": credit}, where="test")


LAST = task()


def impressions(*rows):
    """(request, hour) or (request, hour, user, item, position)."""
    full = [(*row, *("u", "i", None)[len(row) - 2 :]) for row in rows]
    names = ["request_id", "at", "user_id", "item_id", "position"]
    frame = pl.DataFrame(
        full, schema=dict(zip(names, [pl.String, pl.Float64, pl.String, pl.String, pl.Int32], strict=True)), orient="row"
    )
    return frame.with_columns((pl.col("at") * HOUR).cast(pl.Int64), propensity=pl.lit(0.5))


def events(*rows):
    """(id, hour) or (id, hour, kind, undoes, received hour, user, item)."""
    full = [(*row, *("buy", None, None, "u", "i")[len(row) - 2 :]) for row in rows]
    names = ["event_id", "at", "kind", "undoes", "received_at", "user_id", "item_id"]
    types = [pl.String, pl.Float64, pl.String, pl.String, pl.Float64, pl.String, pl.String]
    frame = pl.DataFrame(full, schema=dict(zip(names, types, strict=True)), orient="row")
    return frame.with_columns((pl.col("at") * HOUR).cast(pl.Int64), (pl.col("received_at") * HOUR).cast(pl.Int64).cast(TIME))


def positives(shown, logged, settings=LAST, cut_us=CUT):
    made = label(shown, logged, settings, cut_us)
    return made.rows.filter(pl.col("label") == 1)["request_id"].to_list(), made


THREE = impressions(("a", 1), ("b", 4), ("c", 8))


@pytest.mark.parametrize(
    ("credit", "at", "credited"),
    [
        ("last_impression", 9, ["c"]),
        ("first_impression", 9, ["a"]),
        ("all_impressions", 9, ["a", "b", "c"]),
        ("last_impression", 5, ["b"]),
        ("all_impressions", 5, ["a", "b"]),
        ("first_impression", 12, ["b"]),  # 11 hours after a: its window is closed
        ("all_impressions", 11, ["b", "c"]),  # 10 hours after a: the window is half-open
        ("last_impression", 18, []),
        ("last_impression", 0.5, []),
        ("last_impression", 8, ["c"]),  # at the very moment it was shown
    ],
)
def test_credit(credit, at, credited):
    found, made = positives(THREE, events(("e", at)), task(credit))
    assert found == credited
    assert made.uncredited == (not credited)
    assert (made.impressions, made.censored, made.outcomes) == (3, 0, 1)


def test_two_outcomes_can_have_one_impression_and_two_impressions_one_outcome_each():
    assert positives(THREE, events(("e", 2), ("f", 3)))[0] == ["a"]
    assert positives(THREE, events(("e", 2), ("f", 9)))[0] == ["a", "c"]


def test_of_two_shown_at_one_moment_the_first_place_has_the_credit():
    shown = impressions(("a", 1, "u", "i", 2), ("b", 1, "u", "i", 1))
    for credit in ("last_impression", "first_impression"):
        assert positives(shown, events(("e", 2)), task(credit))[0] == ["b"]


def test_other_users_items_and_kinds_do_not_count():
    shown = impressions(("a", 1), ("b", 1, "v"), ("c", 1, "u", "j"))
    assert positives(shown, events(("e", 2, "view")))[0] == []
    assert positives(shown, events(("e", 2, "buy", None, None, "v")))[0] == ["b"]
    assert positives(shown, events(("e", 2, "buy", None, None, "u", "j")))[0] == ["c"]


def test_an_outcome_taken_back_never_was_and_taking_back_can_be_taken_back():
    back = ("r", 50, "return", "e")
    found, made = positives(THREE, events(("e", 9), back))
    assert (found, made.undone, made.outcomes) == ([], 1, 0)
    assert positives(THREE, events(("e", 9), back, ("s", 51, "keep", "r")))[0] == ["c"]
    assert positives(THREE, events(("e", 9), ("r", 100, "return", "e")))[0] == ["c"], "not known before the cut"
    assert positives(THREE, events(("e", 9), ("r", 50, "return", "e", 101)))[0] == ["c"], "received after the cut"


def test_what_is_received_after_the_cut_is_not_known():
    assert positives(THREE, events(("e", 9, "buy", None, 100)))[0] == []
    assert positives(THREE, events(("e", 9, "buy", None, 99)))[0] == ["c"]


def test_an_open_window_is_censored_and_keeps_its_credit():
    shown = impressions(("a", 85), ("b", 90), ("c", 90.5), ("d", 100))
    found, made = positives(shown, events(("e", 91)))
    assert made.rows["request_id"].to_list() == ["a", "b"]
    assert found == [], "c has the outcome, and is censored"
    assert (made.impressions, made.censored, made.uncredited) == (3, 1, 0)


hours = st.integers(0, 140)
some_shown = st.lists(st.tuples(hours, st.sampled_from("uv"), st.sampled_from("ij")), max_size=12)
some_logged = st.lists(
    st.tuples(hours, st.sampled_from(["buy", "view"]), st.none() | st.integers(0, 9), st.none() | hours, st.sampled_from("uv")),
    max_size=12,
)


def slow(shown, logged, credit, window=10, cut=100):
    """The definition, read out."""
    known = {n: e for n, e in enumerate(logged) if e[0] < cut and (e[3] is None or e[3] < cut)}
    takes = {n: e[2] for n, e in known.items() if e[2] is not None}
    undone = {gone for n, gone in takes.items() if n not in takes.values()}
    positive = set()
    for n, (at, kind, _, _, user) in known.items():
        if kind != "buy" or n in undone:
            continue
        mine = [(t, -row) for row, (t, who, item) in enumerate(shown) if (who, item) == (user, "i") and t <= at < t + window]
        if mine:
            first = min(t for t, _ in mine)
            best = max(mine) if credit == "last_impression" else max(pair for pair in mine if pair[0] == first)
            positive |= {-row for _, row in mine} if credit == "all_impressions" else {-best[1]}
    return sorted(row for row, (t, *_) in enumerate(shown) if t + window <= cut and row in positive)


def as_frames(shown, logged):
    """One frame each; ids are places in the list."""
    outcomes = [
        (str(n), at, kind, None if undoes is None else str(undoes), received, user)
        for n, (at, kind, undoes, received, user) in enumerate(logged)
    ]
    places = [(f"{row:02d}", at, user, item, row) for row, (at, user, item) in enumerate(shown)]
    return impressions(*places), events(*outcomes)


@given(some_shown, some_logged, st.sampled_from(["last_impression", "first_impression", "all_impressions"]))
def test_agrees_with_the_definition(shown, logged, credit):
    rows, outcomes = as_frames(shown, logged)
    found, made = positives(rows, outcomes, task(credit))
    assert sorted(map(int, found)) == slow(shown, logged, credit)
    assert made.censored == sum(90 < at < 100 for at, *_ in shown)


@given(some_shown, some_logged, some_shown, some_logged)
def test_nothing_after_the_cut_is_used(shown, logged, later_shown, later_logged):
    shown = [row for row in shown if row[0] < 100]
    logged = [row for row in logged if row[0] < 100 and (row[3] is None or row[3] < 100)]
    later_shown = [(at + 100, *rest) for at, *rest in later_shown]
    later_logged = [(at + 100, *rest) for at, *rest in later_logged]
    (rows, outcomes), (all_rows, all_outcomes) = as_frames(shown, logged), as_frames(shown + later_shown, logged + later_logged)
    before, after = label(rows, outcomes, task(), CUT), label(all_rows, all_outcomes, task(), CUT)
    assert before.rows.equals(after.rows)
    assert (before.censored, before.outcomes, before.undone) == (after.censored, after.outcomes, after.undone)


@given(some_shown, some_logged, st.sampled_from(["last_impression", "first_impression", "all_impressions"]), hours)
def test_the_labels_since_a_moment_are_those_of_all_that_lie_after_it(shown, logged, credit, since):
    rows, outcomes = as_frames(shown, logged)
    every, some = (label(rows, outcomes, task(credit), CUT, since_us) for since_us in (None, since * HOUR))
    assert some.rows.equals(every.rows.filter(pl.col("at_us") >= since * HOUR))
    assert some.impressions == sum(since <= at < 100 for at, *_ in shown)


def test_two_outcomes_in_any_order():
    assert positives(impressions(("a", 0)), events(("e", 10), ("f", 0)), task("all_impressions"))[0] == ["a"]


def tables_with_requests(folder):
    folder = write_tables(folder, [("u", "i", 9 * HOUR, "buy"), ("v", "i", 9 * HOUR, "buy")])
    write_impressions(folder, impressions(("a", 8), ("b", 8, "v"), ("c", 8, "u", "j")), ["shown", "shown", "considered"])
    return folder


def write_impressions(folder, shown, stages=None):
    requests = shown.select(
        "request_id", "user_id", at=pl.col("at").cast(TIME), surface=pl.lit("home"), policy_id=pl.lit("p"), seed=0
    )
    in_shape(requests, REQUESTS).write_parquet(folder / "requests.parquet")
    stage = pl.Series(stages or ["shown"] * len(shown))
    candidates = shown.select("request_id", "item_id", "position", "propensity", stage=stage, logged_p=1.0)
    in_shape(candidates, CANDIDATES).write_parquet(folder / "candidates.parquet")


def test_from_tables(tmp_path):
    folder = tables_with_requests(tmp_path / "log")
    assert pl.read_parquet_schema(folder / "events.parquet") == EVENTS.schema()
    made = labels_of(folder, task(), CUT)
    assert made.rows.select("request_id", "label").rows() == [("a", 1), ("b", 1)]
    people = pl.read_parquet(folder / "users.parquet").with_columns(consent_train=pl.col("user_id") != "v")
    people.write_parquet(folder / "users.parquet")
    assert labels_of(folder, task(), CUT).rows["request_id"].to_list() == ["a"]


def test_only_what_lies_since_a_moment_is_read(tmp_path):
    """The outcome at 9 h is credited to the first impression, a window before it, though labels are asked from 8.5 h on."""
    folder = write_tables(tmp_path / "log", [("u", "i", 9 * HOUR, "buy"), ("u", "j", 2 * HOUR, "buy")])
    shown = impressions(("a", 8), ("b", 8.7), ("c", 8.7, "v"), ("d", 1, "u", "j"))
    write_impressions(folder, shown)
    whole, since = (labels_of(folder, task("first_impression"), CUT, since_us) for since_us in (None, int(8.5 * HOUR)))
    assert whole.rows.select("request_id", "label").rows() == [("d", 1), ("a", 1), ("b", 0), ("c", 0)]
    assert since.rows.select("request_id", "label").rows() == [("b", 0), ("c", 0)]
    assert (since.impressions, since.outcomes, since.uncredited, whole.outcomes) == (2, 1, 0, 2)


def test_what_is_missing_is_said(tmp_path):
    folder = tables_with_requests(tmp_path / "log")
    with pytest.raises(ConfigError, match=r'event = "buys": the log has no such kind. Did you mean "buy"'):
        labels_of(folder, TaskConfig(event="buys", window_h=1), CUT)
    write_clock(folder, "ordinal")
    with pytest.raises(DataError, match="A label with a window needs times"):
        labels_of(folder, task(), CUT)
    (folder / "clock.json").unlink()
    (folder / "candidates.parquet").unlink()
    with pytest.raises(DataError, match=r"has no candidates\.parquet"):
        labels_of(folder, task(), CUT)
