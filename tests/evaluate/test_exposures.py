import numpy as np
import pytest

from headrace.contracts.rng import rng
from headrace.evaluate import bootstrap
from headrace.evaluate.beyond import coverage, gini
from headrace.evaluate.exposures import moved, resampled_figures
from headrace.evaluate.lists import RankedLists

USERS = np.repeat(np.arange(40), 2)
AVAILABLE = np.arange(31) % 7 > 0  # item 0 is none of them, and some are withdrawn


def some_lists(seed=0, users=USERS, exponent=2.0):
    """Five different items each of 30, the first ones more often."""
    stream = rng(seed, "lists")
    draws = stream.random((len(users), 30)) ** exponent * np.arange(1, 31)
    return RankedLists(users, np.argsort(draws, axis=1)[:, :5].astype(np.int32) + 1)


def test_the_first_row_is_the_figure_itself():
    lists = some_lists()
    figures = resampled_figures(lists, AVAILABLE, 3, resamples=10, seed=0)
    assert figures.shape == (11, 2)
    assert figures[0].tolist() == pytest.approx([coverage(lists, AVAILABLE, 3), gini(lists, AVAILABLE, 3)])


def test_a_draw_is_the_figure_of_the_drawn_users_with_all_their_requests():
    lists = some_lists()
    figures = resampled_figures(lists, AVAILABLE, 5, resamples=4, seed=3)
    for _, counts in bootstrap.draws(40, resamples=4, seed=3, width=int(AVAILABLE.sum())):
        for at, drawn in enumerate(counts.astype(int)):
            items = np.repeat(lists.items, np.repeat(drawn, 2), axis=0)
            run = RankedLists(np.zeros(len(items), np.int64), items)
            assert figures[1 + at].tolist() == pytest.approx([coverage(run, AVAILABLE, 5), gini(run, AVAILABLE, 5)])


def test_an_interval_holds_its_figure_though_a_draw_covers_less():
    figures = resampled_figures(some_lists(exponent=0.2), AVAILABLE, 5, resamples=400, seed=0)
    assert figures[1:, 0].mean() < figures[0, 0], "a draw of users with replacement leaves some out"
    means = moved(figures, 40)
    assert (means.lo <= means.value).all()
    assert (means.value <= means.hi).all()
    assert (means.hi - means.lo > 0).all()


def test_an_interval_is_as_wide_as_the_figure_varies_over_samples_of_users():
    """Against the truth: 200 runs by other users of the same kind."""
    figures = np.array([resampled_figures(some_lists(seed), AVAILABLE, 1, resamples=1, seed=0)[0] for seed in range(200)])
    truth = np.subtract(*np.quantile(figures, [0.975, 0.025], axis=0))
    means = moved(resampled_figures(some_lists(), AVAILABLE, 1, resamples=2000, seed=0), 40)
    np.testing.assert_allclose(means.hi - means.lo, truth, rtol=0.4)


def test_nothing_shown_has_no_gini():
    empty = RankedLists(USERS, np.zeros((80, 5), np.int32))
    figures = resampled_figures(empty, AVAILABLE, 5, resamples=3, seed=0)
    assert figures[:, 0].tolist() == [0.0] * 4
    assert np.isnan(figures[:, 1]).all()


def test_every_item_shown_and_no_empty_slot():
    lists = RankedLists(np.arange(2), np.array([[1, 2], [3, 4]], np.int32))
    assert resampled_figures(lists, np.arange(5) > 0, 2, resamples=1, seed=0)[0].tolist() == [1.0, 0.0]
