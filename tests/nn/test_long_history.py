import numpy as np
import pytest
import torch
from torch.testing import assert_close

from headrace.data.rank_inputs import AGES
from headrace.nn.long_history import LongHistoryScorer, TargetHeads
from headrace.nn.seeded import seeded
from headrace.objectives.choice import learned_choice
from headrace.objectives.long_choice import LongConfig
from headrace.serve.scorers.export import export_score, export_user
from headrace.testing import check_batches, check_objective, check_scorer
from tests.methods.examples import SIZES, VECTORS, featured, inputs

SMALL = LongConfig(item_dim=4, feature_dim=3, hidden=(8,), history=5, width=4, batch_size=8)


class Everything(LongHistoryScorer):
    """Each candidate reads all events, but for those of items that are barred."""

    Config = LongConfig
    revision = 1
    frozen = ("barred",)
    barred: torch.Tensor

    def learn(self, interactions, artifacts):
        self._hold({"barred": np.arange(interactions.n_items) == 4})
        return learned_choice(self, interactions, artifacts)

    def _kept(self, batch):
        items = self._items(batch)
        return {"read": self._past(batch), "there": (items > 0) & ~self.barred[items]}


def learned(settings=SMALL, sizes=SIZES, vectors=None):
    interactions, artifacts = featured(None, sizes, vectors)
    model = Everything(settings)
    with seeded(0, "init"):
        return model, model.learn(interactions, artifacts), artifacts["candidate_lists"]


@pytest.mark.parametrize(
    ("sizes", "vectors"), [(SIZES, None), ({}, None), (SIZES, VECTORS)], ids=["features", "none", "vectors"]
)  # fmt: skip
def test_contract(sizes, vectors):
    model, made, lists = learned(sizes=sizes, vectors=vectors)
    assert list(model.schema)[:2] == ["history", AGES]
    check_batches(made.batches)
    check_objective(made.objectives[0], model, made.batches.epoch(0)[0])
    check_scorer(model, *inputs(model, lists))


def test_what_is_frozen_is_stored_and_read_back():
    model, _, _ = learned()
    again = Everything.from_arrays(SMALL, dict(sorted(model.arrays().items(), reverse=True)))
    assert again.barred.tolist() == [item == 4 for item in range(20)]
    assert again.schema == model.schema


def test_when_an_event_was_and_what_it_was_matter_and_what_is_not_there_does_not():
    model, _, lists = learned(sizes={})
    user, candidates = inputs(model, lists)
    model.eval()

    def score(**moved):
        with torch.no_grad():
            return model.score(model.user({**user, **moved}), candidates).logits["choice"]

    empty = user["history"] == 0
    before, there = score(), (user["history"] > 0).any(1) & (user["history"] != 4).any(1)
    older = score(**{AGES: user[AGES] + 3})
    assert not torch.isclose(older, before, atol=1e-7).all(1)[there].any()
    assert_close(score(**{AGES: user[AGES].masked_fill(empty, 7.0)}), before)
    assert_close(score(**{AGES: user[AGES].where(user["history"] != 4, 9.0)}), before)


@torch.no_grad()
def test_ages_are_half_steps_of_the_logarithm_of_hours():
    model, _, _ = learned(sizes={})
    found = model._aged(torch.tensor([-1.0, 0.0, 0.49, 0.5, 11.99, 12.0, 99.0]))
    assert_close(found, model.get_parameter("ages.weight")[torch.tensor([0, 0, 0, 1, 23, 24, 24])])


@torch.no_grad()
def test_heads_are_softmaxes_of_their_own_part():
    with seeded(1, "heads"):
        attend = TargetHeads(6, 2)
        query, read = torch.randn(2, 3, 6), torch.randn(2, 4, 6)
    there = torch.tensor([[True, True, False, True], [False] * 4])
    q, k, v = attend.queries(query), attend.keys(read), attend.values(read)
    found = attend(query, read, there)
    for place in range(3):
        parts = []
        for part in (slice(0, 3), slice(3, 6)):
            weights = (k[0, there[0], part] @ q[0, place, part] / 3**0.5).softmax(0)
            parts.append(weights @ v[0, there[0], part])
        assert_close(found[0, place], attend.out(torch.cat(parts)))
    assert_close(found[1], attend.out.bias.expand(3, 6))
    each, own = read.unsqueeze(1).expand(2, 3, 4, 6), there.unsqueeze(1).expand(2, 3, 4)
    assert_close(attend(query, each, own), found)


@pytest.mark.parametrize("sizes", [SIZES, {}], ids=["features", "none"])
def test_it_exports(sizes, tmp_path):
    model = learned(sizes=sizes)[0].eval()
    assert export_user(model, tmp_path / "user.onnx") == ["features", "read", "there"]
    export_score(model, tmp_path / "score.onnx")
