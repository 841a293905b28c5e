from dataclasses import replace

import numpy as np
import pytest
import torch

from headrace.contracts.errors import ConfigError, DataError
from headrace.contracts.requests import Allowed
from headrace.contracts.training import TrainConfig
from headrace.encode.semantic_ids.ids import told_apart
from headrace.methods.retrieve.liger import LIGER, LIGERConfig
from headrace.nn.seeded import seeded
from headrace.testing import check_batches, check_objective, check_retriever
from headrace.testing.examples import history_of, interactions_of, some_interactions, some_requests
from headrace.train.trainer import train

# As many beams as there are items: the search is exhaustive, as the suite's comparisons of longer and shorter lists need it.
SMALL = LIGERConfig(dim=8, layers=1, heads=2, hidden=16, length=5, dropout=0.1, batch_size=16, beams=20)
WARM, COLD = 9, 12
"""Items 1 to 8 were chosen, 9 to 11 have texts and no event."""


def artifacts_of(n_items, *, without=()):
    """Codes and vectors of two kinds, by whether an item's number is even; item 0 and some have neither."""
    items = np.arange(n_items)
    vectors = np.random.default_rng(0).normal(size=(n_items, 6)).astype(np.float32) * 0.3
    vectors[:, 0] += np.where(items % 2, 2.0, -2.0)
    codes = np.stack([items % 2, items // 2 % 3], 1).astype(np.int32)
    codes[[0, *without]] = -1
    vectors[[0, *without]] = 0
    return {"semantic_ids": told_apart(codes, (2, 3)), "item_vectors": vectors}


def learned(interactions, settings=SMALL, seed=0, **more):
    model = LIGER(settings, seed=seed)
    with seeded(seed, "init"):
        return model, model.learn(interactions, {**artifacts_of(interactions.n_items), **more})


def some_cold(n_items=COLD):
    return interactions_of([[1, 3, 5, 7], [2, 4, 6, 8], [3, 1, 7], [8, 2, 6], [1, 2]], n_items)


def trained(made, epochs=1):
    train(made, TrainConfig(epochs=epochs, learning_rate=0.02, device="cpu"), seed=0, artifacts=dict.fromkeys(made.needs))


@pytest.mark.parametrize(
    "variant", [{}, {"codes_loss": False}, {"dense_loss": False}, {"vectors": False}], ids=["whole", "dense", "codes", "ids"]
)
def test_contract(variant):
    model, made = learned(some_interactions(), replace(SMALL, **variant), seed=3)
    check_batches(made.batches)
    check_objective(made.objectives[0], model, made.batches.epoch(0)[0])
    check_retriever(model, some_requests(), n_items=20)


def test_the_list_is_k_beams_and_every_cold_item():
    model, _ = learned(some_cold(), replace(SMALL, beams=3))
    asked = some_requests(4, WARM)
    found = model.retrieve(asked, 99, Allowed())
    assert found.there.sum(1).tolist() == [0, 11, 11, 11], "asked for more, it searches for more"
    for beams in (1, 3, 6):
        model.config = replace(SMALL, beams=beams)
        found = model.retrieve(asked, beams, Allowed()).items  # at most K are shown of K + |C|
        with torch.inference_mode():
            scores = model._scores(*model.read({"items": torch.tensor([[1, 3]])}), beams, Allowed())
        assert int((scores > -torch.inf).sum()) == beams + 3
        assert found.shape == (4, beams)


def test_candidates_are_ranked_by_the_cosine_alone():
    model, _ = learned(some_cold())
    asked = replace(some_requests(1), history=history_of([[1, 3]]))
    found = model.retrieve(asked, 11, Allowed())
    model.config = replace(SMALL, codes_loss=False)
    dense = model.retrieve(asked, 11, Allowed())
    assert found.items.tolist() == dense.items.tolist()
    assert np.abs(found.scores["liger"]).max() <= 1 + 1e-5
    np.testing.assert_allclose(found.scores["liger"], dense.scores["liger"], atol=1e-6)


def test_cold_items_of_the_taste_lead_and_tiger_has_none():
    """Odd items are chosen together, even ones too; of 9, 10 and 11 only the texts say which kind they are."""
    rows = [np.random.default_rng(user).permutation(np.arange(1 + user % 2, 9, 2)).tolist() for user in range(24)]
    interactions = interactions_of(rows, COLD)
    past = history_of([[1, 3], [2, 4]])
    model, made = learned(interactions, replace(SMALL, dropout=0.0))
    trained(made, epochs=8)
    found = model.retrieve(replace(some_requests(2), history=past), 11, Allowed(blocked=past)).items.tolist()
    cold = [[item for item in row if item >= WARM] for row in found]
    assert cold[0][-1] == 10
    assert cold[1][0] == 10
    assert found[1].index(10) < found[1].index(1)
    model.config = replace(SMALL, dense_loss=False)
    found = model.retrieve(replace(some_requests(2), history=past), 11, Allowed()).items
    assert set(found.ravel().tolist()) == set(range(WARM)), "beams alone know no cold item"


def test_a_code_loss_of_weight_0_is_the_dense_model():
    dense, made = learned(some_cold(), replace(SMALL, codes_loss=False))
    trained(made)
    both, made = learned(some_cold())
    made = replace(made, weights={"next_code": 0.0})
    trained(made)
    names = [name for name, _ in both.named_parameters() if "decoder" not in name]
    own, others = dict(both.named_parameters()), dict(dense.named_parameters())
    assert len(names) > 10
    for name in names:
        torch.testing.assert_close(own[name], others[name], rtol=1e-4, atol=1e-6)


def test_texts_are_standardised_over_what_was_trained_on():
    model, _ = learned(some_cold())
    known = model.texts[1:WARM]
    torch.testing.assert_close(known.mean(0), torch.zeros(6), atol=1e-5, rtol=0)
    torch.testing.assert_close(known.std(0, unbiased=False), torch.ones(6))
    other = artifacts_of(COLD)["item_vectors"]
    other[WARM:] += 5
    changed, _ = learned(some_cold(), item_vectors=other)
    torch.testing.assert_close(changed.texts[1:WARM], known)


def test_items_without_a_text_are_neither_read_nor_given():
    vectors = artifacts_of(COLD)["item_vectors"]
    vectors[[2, 10]] = 0
    model, _ = learned(some_cold(), item_vectors=vectors)
    past = history_of([[1, 2, 3], [1, 3], [2]])
    found = model.retrieve(replace(some_requests(3), history=past), 99, Allowed())
    assert set(found.items.ravel().tolist()) == {0, 1, 3, 4, 5, 6, 7, 8, 9, 11}
    np.testing.assert_allclose(found.scores["liger"][0], found.scores["liger"][1], rtol=1e-5)
    assert not found.there[2].any()
    with pytest.raises(DataError, match="no item that was chosen has both codes and a text"):
        learned(some_cold(), item_vectors=np.zeros((COLD, 6), np.float32))
    with pytest.raises(DataError, match="vectors of 5 items for a catalogue of 12"):
        learned(some_cold(), item_vectors=vectors[:5])


def test_items_vectors_follow_training():
    model, made = learned(some_cold())
    before = model.retrieve(some_requests(3, WARM), 5, Allowed()).scores["liger"]
    trained(made)
    after = model.retrieve(some_requests(3, WARM), 5, Allowed()).scores["liger"]
    assert not np.allclose(before[1:], after[1:])
    weights = {name: values.clone() for name, values in model.state_dict().items()}
    weights["project.weight"] *= -1
    model.load_state_dict(weights)
    assert not np.allclose(after[1:], model.retrieve(some_requests(3, WARM), 5, Allowed()).scores["liger"][1:])


def test_what_cannot_be_is_refused():
    with pytest.raises(ConfigError, match="dim must be a multiple of heads"):
        LIGERConfig(dim=10, heads=4)
    with pytest.raises(ConfigError, match="nothing to learn"):
        LIGERConfig(codes_loss=False, dense_loss=False)
