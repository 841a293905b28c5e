import numpy as np
import pytest

from headrace.recipes.logs.exposure import STAGE1, TASKS, ExposureConfig, lived
from headrace.recipes.logs.lists_of_days import with_some_unshown
from headrace.world.settings import DAY_US, START_US, WorldConfig

WORLD = WorldConfig(
    users=120, items=300, topics=8, dim=8, nearest=30, popular=15, uniform=5, considered=15, position_bias=0.0, random_share=0.1
)
TINY = ExposureConfig(world=WORLD, warm_days=1, window_days=3, test_days=1, drawn=40)


@pytest.fixture(scope="module")
def log():
    return lived(TINY, 0)


def test_each_day_has_one_use(log):
    days = [(part.requests.at_us - START_US) // DAY_US for part in (log.lists, log.held, log.uniform)]
    assert [(day.min(), day.max()) for day in days] == [(1, 3), (4, 4), (5, 5)]
    assert log.interactions.history.at_us.max() < START_US + DAY_US == log.interactions.cut_us


def test_random_pages_are_apart(log):
    used = np.concatenate([part.requests.ids for part in (log.lists, log.held, log.uniform, log.shown, log.recalled)])
    assert len(log.random_pages) > 0
    assert not np.isin(log.random_pages.requests.ids, used).any()


def test_lists_and_impressions_tell_of_the_same_clicks(log):
    shown = log.lists.known
    assert (shown.sum(1) == 4).all()
    assert not log.lists.label[~shown].any()
    assert (log.considered.sum(1) == 15).all()
    assert log.considered[shown].all(), "the logger shows what stage 2 saw"
    rows = np.repeat(np.arange(len(shown)), 4)
    for read in (lambda lists: lists.candidates.items, lambda lists: lists.label):
        whole, shown_alone = read(log.lists)[shown], read(log.impressions).ravel()
        assert sorted(zip(rows, whole, strict=True)) == sorted(zip(rows, shown_alone, strict=True))
    pairs = [
        {(row, item): code for row, items, codes in zip(range(9), lists.items, lists.features[STAGE1], strict=False)
         for item, code in zip(items, codes, strict=True)}
        for lists in (log.lists.candidates, log.impressions.candidates)
    ]  # fmt: skip
    assert all(pairs[0][pair] == code for pair, code in pairs[1].items()), "a pair is scored alike wherever it stands"


def test_tasks_follow_the_click(log):
    assert tuple(log.impressions.tasks) == tuple(log.recalled.chance) == TASKS
    assert all((log.impressions.tasks[task] <= log.impressions.label).all() for task in TASKS)
    assert all((log.recalled.chance[task] <= log.recalled.click).all() for task in TASKS)


def test_uniform_items_are_there_and_as_likely_as_any(log):
    items = log.uniform.candidates.items
    n = log.world.catalogue.known(5)
    assert all(len(set(row)) == 40 for row in items.tolist())
    assert items.min() >= 1
    assert items.max() <= n
    expected = items.size / n
    assert np.abs(np.bincount(items.ravel(), minlength=n + 1)[1:] - expected).max() < 6 * np.sqrt(expected)


def test_what_is_shown_is_better_than_what_is_not(log):
    assert log.shown.click.mean() > log.recalled.click[log.unshown].mean() > log.uniform.click.mean()
    assert (log.recalled.click[~log.unshown].sum()) == pytest.approx(log.shown.click.sum())


def test_a_draw_of_the_unshown_keeps_all_that_was_shown(log):
    some = with_some_unshown(log.lists, 10, 0)
    assert some.label.shape[1] == 14
    assert some.known is not None
    assert some.known.sum() == log.lists.known.sum()
    assert some.label.sum() == log.lists.label.sum()
    again = with_some_unshown(log.lists, 10, 0)
    assert np.array_equal(some.candidates.items, again.candidates.items)
    assert with_some_unshown(log.lists, 1000, 0).label.shape == log.lists.label.shape
