import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from headrace.contracts.config import parse
from headrace.contracts.errors import ConfigError, DataError
from headrace.contracts.rng import rng
from headrace.data.splits import SplitConfig, temporal_cuts, user_draw
from headrace.data.vocabulary import Vocabulary

shares = st.builds(
    lambda valid, prerank, rank, test: SplitConfig(valid_share=valid, prerank_share=prerank, rank_share=rank, test_share=test),
    *[st.floats(0.02, 0.2)] * 4,
)


@given(st.lists(st.integers(0, 500), min_size=4, max_size=300), shares)
def test_windows_are_ordered_and_hold_at_least_their_share(times, settings):
    at_us = np.array(times)
    try:
        cuts = temporal_cuts(at_us, settings)
    except DataError:
        assume(False)
    assert cuts.first_us == at_us.min()
    assert cuts.last_us == at_us.max()
    moments = [cuts.first_us, cuts.valid_us, cuts.prerank_us, cuts.rank_us, cuts.test_us, cuts.last_us + 1]
    assert moments == sorted(set(moments))
    assert set(moments[:-1]) <= set(times), "a cut is the moment of an event, so ties stay whole"
    after = 0.0
    newest_first = (settings.test_share, settings.rank_share, settings.prerank_share, settings.valid_share)
    for share, cut in zip(newest_first, moments[4:0:-1], strict=True):
        after += share
        assert (at_us >= cut).mean() >= after - 1e-9
        assert (at_us > cut).mean() <= after + 1e-9, "no more than the ties of the cut itself are added"


def test_shares_are_kept_where_nothing_is_tied():
    at_us = rng(0, "times").permutation(1000)
    cuts = temporal_cuts(at_us, SplitConfig(valid_share=0.1, prerank_share=0.1, rank_share=0.2, test_share=0.1))
    assert (cuts.first_us, cuts.valid_us, cuts.prerank_us, cuts.rank_us, cuts.test_us) == (0, 500, 600, 700, 900)
    assert cuts.last_us == 999


def test_shares_of_more_than_the_log_are_refused():
    greedy = SplitConfig(valid_share=0.9, prerank_share=0.9, rank_share=0.9, test_share=0.9)
    with pytest.raises(DataError, match="Give a longer log, or other shares"):
        temporal_cuts(np.arange(100), greedy)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"kind": "leave_last", "test_share": 0.2}, '"leave_last" cuts by steps, one a window, so test_share has no place'),
        ({"kind": "by_user", "rank_share": 0.2}, "rank_share has no place. Leave it out"),
        ({"kind": "leave-last"}, '"kind" is .leave-last.'),
    ],
)
def test_what_a_split_has_no_place_for(given, says):
    with pytest.raises(ConfigError, match=says):
        parse(SplitConfig, given, where="shop.toml [split]")
    assert parse(SplitConfig, {"kind": "by_user", "test_share": 0.2}, where="").test_share == 0.2


def test_every_table_says_what_the_split_leaks():
    assert SplitConfig().name("time") == "global temporal"
    for kind in ("leave_last", "by_user"):
        assert "leaks across users in time" in SplitConfig(kind=kind).name("time")
    assert "the file's order is the signal" in SplitConfig(kind="leave_last").name("ordinal")


def test_who_is_held_out_hangs_on_the_id_alone():
    ids = [f"u{n}" for n in range(200)]
    draw = user_draw(Vocabulary(ids), 0)
    assert np.array_equal(user_draw(Vocabulary([*ids[::-1], "x" * 10_000]), 0)[1:-1], draw[:0:-1])
    assert 0.3 < (draw < 0.4).mean() < 0.5
    assert not np.array_equal(user_draw(Vocabulary(ids), 1), draw)


@pytest.mark.parametrize("times", [[], [1], [5] * 100, [1] * 50 + [2] * 50, [1] * 97 + [2, 3, 4]])
def test_a_log_without_five_windows_is_refused(times):
    with pytest.raises(DataError, match=r"nothing to split|needs 5 windows"):
        temporal_cuts(np.array(times, np.int64), SplitConfig())
