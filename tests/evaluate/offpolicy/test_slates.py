import numpy as np
import pytest
from hypothesis import given

from headrace.contracts.errors import DataError
from headrace.contracts.rng import rng
from headrace.evaluate.offpolicy import single
from headrace.evaluate.offpolicy.slates import cascade_dr, independent, interaction, joint, self_normalised_interaction
from headrace.evaluate.offpolicy.terms import Terms
from tests.evaluate.offpolicy.enumerated import Pages, over_prefix, pages, seeds


def expectation(drawn: Pages, terms: Terms) -> float:
    assert (terms.denominator == 1).all()
    return float(drawn.chance @ terms.numerator[:, 0])


def truth(drawn: Pages, reward: np.ndarray) -> float:
    return float(drawn.target_chance @ reward.sum(1))


def whole_page_rewards(drawn: Pages, seed: int) -> np.ndarray:
    return rng(seed, "rewards").random(drawn.items.shape)


def downward_rewards(drawn: Pages, seed: int) -> np.ndarray:
    return np.stack([over_prefix(drawn, seed, slot + 1) for slot in range(drawn.items.shape[1])], axis=1)


def item_rewards(drawn: Pages, seed: int) -> np.ndarray:
    table = rng(seed, "items").random((drawn.context.max() + 1, drawn.items.max() + 1, drawn.items.shape[1]))
    return table[drawn.context[:, None], drawn.items, np.arange(drawn.items.shape[1])]


def marginal(drawn: Pages, chance: np.ndarray) -> np.ndarray:
    """log p(item at slot | context) of each row's items."""
    table = np.zeros((drawn.context.max() + 1, drawn.items.max() + 1, drawn.items.shape[1]))
    slots = np.arange(drawn.items.shape[1])
    np.add.at(table, (drawn.context[:, None], drawn.items, slots), chance[:, None] * len(table))
    return np.log(table[drawn.context[:, None], drawn.items, slots])


@given(seeds)
def test_chances_of_all_pages_sum_to_one(seed):
    drawn = pages(seed)
    assert [drawn.chance.sum(), drawn.target_chance.sum()] == pytest.approx([1, 1])


@given(seeds)
def test_joint_is_unbiased_whatever_rewards_depend_on(seed):
    drawn = pages(seed)
    reward = whole_page_rewards(drawn, seed)
    assert expectation(drawn, joint(reward, drawn.logged, drawn.target)) == pytest.approx(truth(drawn, reward), abs=1e-10)


@given(seeds)
def test_interaction_is_unbiased_where_users_read_downwards(seed):
    drawn = pages(seed)
    reward = downward_rewards(drawn, seed)
    assert expectation(drawn, interaction(reward, drawn.logged, drawn.target)) == pytest.approx(truth(drawn, reward), abs=1e-10)


def test_interaction_is_biased_where_what_stands_below_matters():
    drawn = pages(0)
    reward = whole_page_rewards(drawn, 0)
    assert abs(expectation(drawn, interaction(reward, drawn.logged, drawn.target)) - truth(drawn, reward)) > 0.01


@given(seeds)
def test_independent_is_unbiased_for_item_and_position_rewards_given_marginals(seed):
    drawn = pages(seed)
    reward = item_rewards(drawn, seed)
    logged, target = marginal(drawn, drawn.chance), marginal(drawn, drawn.target_chance)
    assert expectation(drawn, independent(reward, logged, target)) == pytest.approx(truth(drawn, reward), abs=1e-10)


def test_chances_given_the_slots_above_are_no_marginals():
    drawn = pages(0)
    reward = item_rewards(drawn, 0)
    assert abs(expectation(drawn, independent(reward, drawn.logged, drawn.target)) - truth(drawn, reward)) > 0.001


def value_of(drawn: Pages, q: np.ndarray, slot: int) -> np.ndarray:
    """Mean of q over the target's choice at the slot, given the context and what stands above it, [n]."""
    keys = np.stack([drawn.context, *(drawn.items[:, above] for above in range(slot))], axis=1)
    _, row = np.unique(keys, axis=0, return_inverse=True)
    row = row.ravel()
    # each item of the slot stands on as many rows as there are ways to go on below it, all with the same q and chance
    ways = len(drawn.items) // len(np.unique(np.column_stack([keys, drawn.items[:, slot]]), axis=0))
    return np.bincount(row, np.exp(drawn.target[:, slot]) * q / ways)[row]


@given(seeds)
def test_cascade_dr_is_unbiased_for_any_model(seed):
    drawn = pages(seed)
    reward = downward_rewards(drawn, seed)
    q = downward_rewards(drawn, seed + 1) * 3 - 1
    v = np.stack([value_of(drawn, q[:, slot], slot) for slot in range(3)], axis=1)
    terms = cascade_dr(reward, drawn.logged, drawn.target, q, v)
    assert expectation(drawn, terms) == pytest.approx(truth(drawn, reward), abs=1e-10)


@given(seeds)
def test_cascade_dr_with_the_true_rewards_to_come_has_no_variance_left_in_a_context(seed):
    drawn = pages(seed, contexts=1)
    reward = downward_rewards(drawn, seed)
    q, v = np.zeros(reward.shape), np.zeros((len(reward), 4))
    for slot in (2, 1, 0):
        q[:, slot] = reward[:, slot] + v[:, slot + 1]
        v[:, slot] = value_of(drawn, q[:, slot], slot)
    terms = cascade_dr(reward, drawn.logged, drawn.target, q, v[:, :3])
    assert terms.numerator[:, 0] == pytest.approx(np.full(len(reward), truth(drawn, reward)), abs=1e-10)


@given(seeds)
def test_one_slot_is_the_bandit(seed):
    drawn = pages(seed, slots=1)
    reward, q, v = (rng(seed, name).random((len(drawn.items), 1)) for name in ("r", "q", "v"))
    logged, target = np.exp(drawn.logged[:, 0]), np.exp(drawn.target[:, 0])
    wanted = single.ips(reward[:, 0], logged, target).numerator
    for one in (joint, interaction, independent):
        np.testing.assert_allclose(one(reward, drawn.logged, drawn.target).numerator, wanted, rtol=1e-12)
    robust = single.doubly_robust(reward[:, 0], logged, target, q[:, 0], v[:, 0])
    np.testing.assert_allclose(
        cascade_dr(reward, drawn.logged, drawn.target, q, v).numerator, robust.numerator, rtol=1e-12, atol=1e-12
    )
    normalised = single.snips(reward[:, 0], logged, target).value
    assert self_normalised_interaction(reward, drawn.logged, drawn.target).value == pytest.approx(normalised)


def test_an_empty_slot_changes_nothing():
    drawn = pages(1, slots=2)
    reward = whole_page_rewards(drawn, 1)
    wider = [np.insert(column, 1, 0.0, axis=1) for column in (reward, drawn.logged, drawn.target)]
    for one in (joint, interaction, self_normalised_interaction):
        assert one(*wider).value == pytest.approx(one(reward, drawn.logged, drawn.target).value, abs=1e-12)


def test_a_page_the_target_would_not_show_weighs_nothing_from_that_slot_on():
    reward, logged = np.ones((1, 3)), np.log([[0.5, 0.5, 0.5]])
    target = np.array([[np.log(0.5), -np.inf, np.log(0.5)]])
    assert joint(reward, logged, target).value == 0
    assert interaction(reward, logged, target).value == pytest.approx(1.0)


def test_weights_are_cut_where_asked():
    reward, logged, target = np.ones((1, 2)), np.log([[0.1, 0.1]]), np.log([[0.5, 0.5]])
    cut = interaction(reward, logged, target, most=6.0)
    assert cut.value == pytest.approx(5 + 6)
    assert cut.name == "interaction@6"
    assert joint(reward, logged, target, most=6.0).value == pytest.approx(12)


HALF = np.log(np.full((2, 2), 0.5))


@pytest.mark.parametrize(
    ("logged", "target", "says"),
    [
        (np.array([[0.0, -np.inf], [0, 0]]), HALF, "1 of 4 is a chance of 0, the first in row 0, slot 1"),
        (np.array([[0.0, 0], [np.nan, 0]]), HALF, "logged log_prob: 1 of 4 is missing, the first in row 1, slot 0"),
        (np.array([[0.0, 0.3], [0, 0]]), HALF, "is above 0"),
        (HALF, np.array([[0.0, 0.3], [0, 0]]), "target log_prob: 1 of 4 is above 0"),
        (HALF, np.array([[0.0, np.nan], [0, 0]]), "target log_prob: 1 of 4 is missing"),
        (HALF, HALF[:1], "must be alike"),
        (HALF[:1], HALF[:1], "expected .n, slots. both"),
    ],
)
def test_what_is_refused(logged, target, says):
    with pytest.raises(DataError, match=says):
        interaction(np.ones((2, 2)), logged, target)


def test_a_model_of_another_shape_is_refused():
    with pytest.raises(DataError, match="v_target"):
        cascade_dr(np.ones((2, 2)), HALF, HALF, np.ones((2, 2)), np.ones((2, 3)))
