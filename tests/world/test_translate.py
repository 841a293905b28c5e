import numpy as np
import pytest

from headrace.cascade.run import planned
from headrace.contracts.errors import DataError
from headrace.contracts.requests import Slates
from headrace.data.vocabulary import Vocabulary
from headrace.testing.policy import check_policy
from headrace.world.live import World
from headrace.world.policies import Uniform, popular
from headrace.world.translate import Translated
from tests.world.tiny import TINY, logger

PLAN = """
[data]
events = "events"
items = "items.parquet"
users = "users.parquet"
[kinds.view]
[kinds.click]
[kinds.dwell]
polarity = "neutral"
[kinds.purchase]
polarity = "neutral"
[kinds.satisfied]
polarity = "neutral"
[retrieve]
use = ["popularity", "itemknn"]
k = 40
[rank.dcnv2]
hidden = [8]
history = 5
train = { epochs = 1 }
[page]
seen_items = true
[page.explore]
slots = 3
"""


@pytest.fixture(scope="module")
def cascade(tmp_path_factory):
    """A real one, built on the first two days of a world, and that world after them."""
    folder = tmp_path_factory.mktemp("live")
    world = World(TINY, seed=4)
    for _ in range(2):
        world.append_log(folder, world.step(logger(), regret=False))
    (folder / "plan.toml").write_text(PLAN)
    pipeline = planned(folder / "plan.toml", folder / "run")
    return pipeline, world


def translated(pipeline, world):
    log = pipeline.log
    return Translated(pipeline.cascade(), world, users=log.users, items=log.items, features=pipeline.feature_object.users_at)


def test_a_cascade_lives_in_the_world(cascade):
    pipeline, world = cascade
    policy = translated(pipeline, world)
    theirs = policy.requests(world.requests(1))
    wanted = pipeline.requests_of(theirs.users, theirs.at_us)
    assert (theirs.history.items == wanted.history.items).all()
    assert all((theirs.features[name] == values).all() for name, values in wanted.features.items())
    outcome = world.step(policy)
    assert outcome.regret.min() >= 0
    assert (world.catalogue.arrival_day[outcome.shown] <= outcome.day).all()
    known = world.utility(Uniform(TINY.slots), outcome.requests)
    assert outcome.utility[~outcome.random].mean() > 1.5 * known.mean()
    page = Slates(outcome.shown, outcome.served.log_prob, policy.policy_id, False)
    mine = ~outcome.random
    np.testing.assert_allclose(policy.log_prob(outcome.requests, page)[mine], page.log_prob[mine], atol=1e-6)


def test_contract(world):
    policy = Translated(popular(world.truth), world, users=Vocabulary(world.user_ids), items=Vocabulary(world.item_ids))
    check_policy(policy, world.requests().take(np.arange(4)), n_items=TINY.items + 1)


class Echo:
    """Shows the first items of its own vocabulary."""

    policy_id, deterministic = "echo", True

    def act(self, requests, candidates=None, *, seed):
        self.asked = requests
        return Slates(np.tile(np.array([1, 2], np.int32), (len(requests), 1)), np.zeros((len(requests), 2)), "echo", True)

    def log_prob(self, requests, slates, candidates=None):
        return np.where(slates.items == np.array([1, 2]), 0.0, -np.inf)


def test_numbers_are_those_of_each_side(world):
    users, items = Vocabulary(["u000007", "u000003"]), Vocabulary(["i000009", "i000001"])
    echo = Echo()
    policy = Translated(echo, world, users=users, items=items)
    requests = world.requests()
    page = policy.act(requests, seed=0)
    assert (page.items == [9, 1]).all()
    assert (policy.log_prob(requests, page) == 0).all()
    asked = echo.asked
    assert set(asked.users[requests.users == 3]) <= {2}
    assert set(asked.users[~np.isin(requests.users, [3, 7])]) == {0}
    assert set(asked.history.items) == {1, 2}
    assert len(asked.history.items) == np.isin(requests.history.items, [1, 9]).sum()
    unknown = Slates(np.full(page.items.shape, 5, np.int32), page.log_prob, "echo", True)
    assert (policy.log_prob(requests, unknown) == -np.inf).all()


def test_items_of_another_world_are_refused(world):
    policy = Translated(Echo(), world, users=Vocabulary([]), items=Vocabulary(["i000001", "elsewhere"]))
    with pytest.raises(DataError, match="tables of another"):
        policy.act(world.requests(), seed=0)
