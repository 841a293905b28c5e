import json
from dataclasses import replace

import numpy as np
import pytest

from headrace.artifacts.store import Store
from headrace.build.graph import Graph
from headrace.data.holdouts import LeaveLast
from headrace.recipes.arms import Arm, Retrieval
from headrace.recipes.measuring import Measuring
from headrace.recipes.orders import reordered
from headrace.testing.examples import some_interactions

VECTORS = np.random.default_rng(0).normal(size=(21, 4)).astype(np.float32)
WORK = Retrieval(
    "ring", {"popularity": Arm("popularity"), "content": Arm("content")}, {"leave-last": LeaveLast()}, 1, ("ndcg@10",)
)


def settings_of_cells(work, arm, folder):
    """The configs of the cells that were made."""
    work.open(folder)
    work.cells(Graph(Store(folder / "store")), "leave-last", arm)
    return [json.loads(path.read_text())["config"] for path in (folder / "store").rglob("manifest.json")]


def test_a_cell_hangs_on_what_its_arm_asks_for_alone(tmp_path):
    """A cell of an arm that needs nothing is found again whatever others need."""
    plain = {"data", "split", "component", "settings", "seed", "metrics", "chosen_by", "component_revision"}
    (before,) = settings_of_cells(WORK, "popularity", tmp_path / "plain")
    assert before.keys() == plain
    with_vectors = replace(WORK, artifacts=lambda held: {"item_vectors": VECTORS})
    assert settings_of_cells(with_vectors, "popularity", tmp_path / "vectors") == [before]
    (found,) = settings_of_cells(with_vectors, "content", tmp_path / "content")
    assert found.keys() - plain == {"artifacts"}
    (other,) = settings_of_cells(
        replace(WORK, artifacts=lambda held: {"item_vectors": VECTORS + 1}), "content", tmp_path / "other"
    )
    assert other["artifacts"] != found["artifacts"]
    turned = replace(WORK, arms={"popularity": Arm("popularity", order="reversed", flops=1e6)}, validated=5, measure=_measured)
    (found,) = settings_of_cells(turned, "popularity", tmp_path / "turned")
    assert found.keys() - plain == {"order", "flops", "validated", "measure"}


def _measured(retriever, held):
    return {"ndcg@10": np.ones(3)}


@pytest.mark.parametrize("order", ["reversed", "shuffled"])
def test_orders_change_within_a_user_alone(order):
    interactions = some_interactions()
    found, history = reordered(interactions, order, 0).history, interactions.history
    assert found.at_us.tolist() == history.at_us.tolist()
    for row in range(len(history)):
        mine, was = (one.take(np.array([row])).items.tolist() for one in (found, history))
        assert sorted(mine) == sorted(was)
        if order == "reversed":
            assert mine == was[::-1]
    assert found.items.tolist() != history.items.tolist()
    assert reordered(interactions, "as it was", 0) is interactions


def test_shuffles_differ_by_seed():
    one, other, again = (reordered(some_interactions(), "shuffled", seed).history.items.tolist() for seed in (0, 1, 0))
    assert one == again != other


def test_validation_may_ask_some_alone(tmp_path):
    WORK.open(tmp_path)
    held, asked = WORK._held("leave-last"), []

    class Spy:
        def retrieve(self, requests, k, allowed):
            asked.extend(requests.users.tolist())
            raise StopIteration

    for validated in (0, 7):
        with pytest.raises(StopIteration):
            Measuring(("ndcg@10",), "ndcg@10", validated).valid(Spy(), held)
    whole, some = asked[: len(held.valid()[0])], asked[len(held.valid()[0]) :]
    assert len(set(some)) == len(some) == 7
    assert set(some) < set(whole)
