"""Opinions, the states of a user, and preferences from templates: nothing of the future, five at most, each once."""

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from headrace.contracts.kinds import Kind
from headrace.contracts.tables import EVENTS, ITEMS, USERS
from headrace.data.log import Log
from headrace.data.preference_templates import Phrases, templates
from headrace.data.preferences import NEWEST, PREFERENCES, Opinions, Preferences
from headrace.data.shape import in_shape
from headrace.data.vocabulary import Vocabulary

N_ITEMS = 12
CATEGORIES = [(), *[("Drama", "Crime")] * 4, *[("Drama",)] * 5, ("Horror",), ()]
TEXTS = ["", *[f"heist detective number{n} robbery" for n in range(9)], "vampire", ""]
PHRASES = Phrases.of(TEXTS, CATEGORIES)


def opinions_of(rows: list[tuple[int, int, int, int]], n_users: int = 4, seed: int = 0) -> Opinions:
    """rows: (user, item, time, mark)."""
    users, items, at_us, mark = (np.array(column) for column in zip(*rows, strict=True))
    return Opinions.of_events(users.astype(np.int32), items.astype(np.int32), at_us.astype(np.int64), mark, n_users, seed)


def said(preferences: Preferences, user: int, at_us: int) -> list[tuple[str, int]]:
    ids = preferences.as_of(np.array([user], np.int32), np.array([at_us]))[0]
    return [(preferences.texts[one], int(preferences.polarity[one])) for one in ids.tolist() if one >= 0]


events = st.lists(
    st.tuples(st.integers(1, 3), st.integers(1, N_ITEMS - 1), st.integers(0, 9), st.integers(-1, 1)), min_size=1, max_size=30
)


def test_phrases_are_the_rarest_categories_and_then_terms_of_several_items() -> None:
    mine = [PHRASES.texts[one] for one in PHRASES.ids[1] if one >= 0]
    assert mine[0] == "crime drama"
    assert not any("number" in text for text in PHRASES.texts)  # a term of one item alone
    assert [PHRASES.texts[one] for one in PHRASES.ids[10] if one >= 0] == ["horror"]
    assert (PHRASES.ids[[0, 11]] == -1).all()


def test_terms_are_taken_by_weight() -> None:
    texts = ["", *["robbery robbery detective heist"] * 6, *["heist detective"] * 3, *["plain words"] * 300]
    found = Phrases.of(texts, [()] * len(texts))
    assert [found.texts[one] for one in found.ids[1] if one >= 0] == ["robbery detective", "heist"]
    later = np.arange(len(texts)) > 6  # what is not known yet has no say in what is rare
    assert not any("robbery" in text for text in Phrases.of(texts, [()] * len(texts), later).texts)


def test_what_was_liked_is_to_be_found_and_what_was_disliked_avoided() -> None:
    found = templates(opinions_of([(1, 1, 1, 1), (1, 10, 2, -1), (1, 5, 3, 0)]), PHRASES)
    assert said(found, 1, 1) == []  # strictly before
    assert said(found, 1, 2)[0] == ("Find crime drama", 1)
    assert said(found, 1, 9)[:2] == [("Avoid horror", -1), ("Find crime drama", 1)]  # the newest first
    assert said(found, 2, 9) == []
    assert said(found, 99, 9) == []


@given(events, st.integers(0, 10), st.integers(0, 2**31))
def test_no_later_event_changes_what_was_wanted(rows: list[tuple[int, int, int, int]], now: int, seed: int) -> None:
    """All that happens at or after a moment is drawn anew; what is wanted as of it stays, to the bit."""
    draw = np.random.default_rng(seed)
    before = [row for row in rows if row[2] < now]
    drawn = zip(*(draw.integers(*span, 9).tolist() for span in ((1, 4), (1, N_ITEMS), (now, 99), (-1, 2))), strict=True)
    later: list[tuple[int, int, int, int]] = [(user, item, at, mark) for user, item, at, mark in drawn]
    first = templates(opinions_of([*rows, (1, 1, 999, 1)]), PHRASES)
    second = templates(opinions_of([*later, *before[::-1]]), PHRASES)
    for user in (1, 2, 3):
        assert said(first, user, now) == said(second, user, now)


@given(events)
def test_at_most_five_of_the_five_newest_and_each_once(rows: list[tuple[int, int, int, int]]) -> None:
    opinions = opinions_of(rows)
    found = templates(opinions, PHRASES)
    assert found.ids.shape == (opinions.states, NEWEST)
    for user in (1, 2, 3):
        for now in range(12):
            mine = said(found, user, now)
            assert len(set(mine)) == len(mine) <= NEWEST
            events = opinions.events
            row = slice(events.offsets[user], events.offsets[user + 1])
            places = np.flatnonzero(events.at_us[row] < now)[-NEWEST:] + events.offsets[user]
            allowed = {
                (("Find " if opinions.mark[at] > 0 else "Avoid ") + PHRASES.texts[one], int(opinions.mark[at]))
                for at in places
                for one in PHRASES.ids[events.items[at]]
                if one >= 0 and opinions.mark[at]
            }
            assert set(mine) <= allowed
            assert len(mine) == min(len(allowed), NEWEST)


def test_the_table_says_when_who_wanted_what_and_by_whom_it_was_written() -> None:
    found = templates(opinions_of([(1, 1, 1, 1), (1, 10, 2, -1), (2, 10, 2, 1), (2, 10, 2, 1)]), PHRASES)
    table = found.table(Vocabulary(["ann", "ben", "cem"]))
    assert table.schema == PREFERENCES.schema()
    assert table["source"].unique().to_list() == ["template"]
    assert table.filter(pl.col("rank") == 0).select("user_id", "text", "polarity").rows() == [
        ("ann", "Find crime drama", 1), ("ann", "Avoid horror", -1), ("ben", "Find horror", 1),
    ]  # fmt: skip
    assert table["at"].dt.timestamp("us").min() == 1
    assert not table.select(PREFERENCES.key).is_duplicated().any()


def test_arrays_bring_the_same_back() -> None:
    found = templates(opinions_of([(1, 1, 1, 1), (3, 10, 2, -1)]), PHRASES)
    again = Preferences.from_arrays(found.arrays())
    assert (again.texts, again.source) == (found.texts, "template")
    assert np.array_equal(again.ids, found.ids)
    assert said(again, 3, 5) == [("Avoid horror", -1)]
    empty = Preferences.from_arrays(templates(opinions_of([(1, 11, 1, 1)]), PHRASES).arrays())
    assert empty.texts == ()
    none = np.zeros(0, np.int64)
    nobody = Opinions.of_events(none.astype(np.int32), none.astype(np.int32), none, none, 3, 0)
    assert said(templates(nobody, PHRASES), 1, 5) == []


def test_ratings_are_read_by_value_and_other_kinds_by_polarity(tmp_path) -> None:
    kinds = {"rating": Kind(), "click": Kind(), "hide": Kind(polarity="negative"), "dwell": Kind(polarity="neutral")}
    rows = [("rating", 4.0), ("rating", 2.0), ("rating", 3.0), ("click", 1.0), ("hide", None), ("dwell", 9.0), ("rating", None)]
    log = pl.DataFrame({
        "event_id": [str(n) for n in range(len(rows))], "user_id": ["u"] * len(rows), "item_id": list("abcdefg"),
        "at": pl.Series(range(1, len(rows) + 1)).cast(pl.Datetime("us", "UTC")), "kind": [kind for kind, _ in rows],
        "value": pl.Series([value for _, value in rows], dtype=pl.Float64),
    })  # fmt: skip
    in_shape(log, EVENTS).write_parquet(tmp_path / "events.parquet")
    in_shape(log.select("item_id").with_columns(valid_from=log["at"]), ITEMS).write_parquet(tmp_path / "items.parquet")
    in_shape(pl.DataFrame({"user_id": ["u"]}), USERS).write_parquet(tmp_path / "users.parquet")
    found = Opinions.of_log(Log.from_tables(tmp_path, kinds))
    assert found.mark.tolist() == [1, -1, 0, 1, -1, 1]
    assert len(found.events.items) == 6  # dwelling says nothing
