from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch

from headrace.contracts.config import parse
from headrace.contracts.errors import ConfigError, DataError
from headrace.contracts.requests import History
from headrace.contracts.training import TrainConfig
from headrace.encode.semantic_ids.ids import told_apart
from headrace.methods.prerank.anchors import ANCHOR_WRITERS
from headrace.methods.prerank.anchors.causal import CausalConfig, CausalWriter
from headrace.methods.prerank.anchors.writer import AnchorWriter
from headrace.nn.body.call import Inputs
from headrace.nn.seeded import seeded
from headrace.testing import check_batches, check_objective
from headrace.testing.examples import history_of, interactions_of, some_interactions
from headrace.train.trainer import train

SMALL = CausalConfig(dim=16, layers=1, heads=2, hidden=16, length=5, dropout=0.0, thin=0.0, batch_size=16)


def ids_of(n_items, *, without=()):
    items = np.arange(n_items)
    codes = np.stack([items % 3, items // 3 % 2], 1).astype(np.int32)
    codes[[0, *without]] = -1
    return told_apart(codes, (3, 2))


def learned(interactions, settings=SMALL, seed=0, ids=None):
    writer = CausalWriter(settings, seed=seed)
    with seeded(seed, "init"):
        return writer, writer.learn(interactions, {"semantic_ids": ids or ids_of(interactions.n_items)})


def test_contract():
    writer, made = learned(some_interactions(), replace(SMALL, thin=0.05), seed=3)
    check_batches(made.batches)
    check_objective(made.objectives[0], writer, made.batches.epoch(0)[0])
    assert isinstance(writer, AnchorWriter)
    assert ANCHOR_WRITERS["causal"].endswith(":CausalWriter")


def test_it_foresees_what_follows():
    """Interest (0, 0) is always followed by (1, 1), and that by (2, 0): items 6, 1 -> 4, 10 -> 2, 8."""
    draw = np.random.default_rng(0)
    groups = [[6, 12], [4, 10], [2, 8]]  # codes (0, 0), (1, 1), (2, 0)
    rows = [[int(draw.choice(groups[(start + step) % 3])) for step in range(5)] for start in range(3) for _ in range(20)]
    writer, made = learned(interactions_of(rows, 13))
    train(made, TrainConfig(epochs=12, learning_rate=0.03, device="cpu"), seed=0, artifacts=dict.fromkeys(made.needs))
    codes, log_prob = writer.write(history_of([[4, 2, 6], [2, 12, 10], [8]]), 2)
    assert codes[:, 0].tolist() == [[1, 1], [2, 0], [0, 0]]
    assert (log_prob[:, 0] > np.log(0.5)).all()


def test_log_prob_is_that_of_the_codes_read_one_after_another():
    writer, _ = learned(some_interactions())
    past = history_of([[1, 5, 9]])
    codes, log_prob = writer.write(past, 6)
    read = writer.tokens[torch.tensor([1, 5, 9])].flatten()
    wanted = {}
    with torch.inference_mode():
        for first, second in product(range(3), range(2)):
            tokens = torch.cat([read, writer.starts[:1] + first]).unsqueeze(0)
            states = writer.body(Inputs(ids=tokens)).last[0, -2:]
            said = [(state @ vectors.T).log_softmax(-1) for state, vectors in zip(states, writer.vectors(), strict=True)]
            wanted[first, second] = float(said[0][first] + said[1][second])
    assert sorted(map(tuple, codes[0].tolist())) == sorted(wanted), "six interests, each once"
    np.testing.assert_allclose(log_prob[0], [wanted[tuple(anchor)] for anchor in codes[0].tolist()], rtol=1e-5)
    assert (np.diff(log_prob[0]) <= 0).all()
    assert np.exp(log_prob[0]).sum() == pytest.approx(1, rel=1e-5), "every code has an item, so they are all there is"


def test_who_has_nothing_readable_has_no_anchors():
    writer, _ = learned(some_interactions(), ids=ids_of(20, without=[6]))
    codes, log_prob = writer.write(history_of([[], [6, 6], [6, 1]]), 3)
    assert (codes[:2] == -1).all()
    assert (log_prob[:2] == -np.inf).all()
    assert (codes[2] >= 0).all()
    assert (log_prob[2] > -np.inf).all()


def test_fewer_interests_than_asked_for():
    writer, _ = learned(some_interactions())
    codes, log_prob = writer.write(history_of([[1, 2]]), 9)
    assert (codes[0, 6:] == -1).all()
    assert (log_prob[0, 6:] == -np.inf).all()
    assert (codes[0, :6] >= 0).all()


def test_what_no_available_item_has_is_not_written():
    interactions = some_interactions()
    interactions.available[:] = np.isin(np.arange(20), [1, 4, 9])  # codes (1, 0), (1, 1), (0, 1)
    codes, _ = learned(interactions)[0].write(history_of([[1, 2]]), 6)
    assert sorted(map(tuple, codes[0].tolist())) == [(-1, -1)] * 3 + [(0, 1), (1, 0), (1, 1)]


def test_rows_hang_on_themselves_alone():
    writer, _ = learned(some_interactions())
    past = history_of([[1, 2, 3], [4], [5, 6, 7, 8, 9, 10], [3, 2, 1]])
    codes, log_prob = writer.write(past, 4)
    for row in range(4):
        alone = writer.write(past.take([row]), 4)
        assert (alone[0][0] == codes[row]).all()
        np.testing.assert_allclose(alone[1][0], log_prob[row], rtol=1e-5)


def test_only_the_newest_are_read():
    writer, _ = learned(some_interactions())
    codes, log_prob = writer.write(history_of([[7, 8, 1, 2, 3, 4, 5], [1, 2, 3, 4, 5]]), 4)
    assert (codes[0] == codes[1]).all()
    assert (log_prob[0] == log_prob[1]).all()


def test_permuting_all_that_came_after_the_cut_changes_no_bit():
    """Leakage: weights and anchors are made of what stood before it, and of nothing else."""
    draw, rows, times = np.random.default_rng(1), [], []
    for _ in range(8):
        rows.append(draw.integers(1, 20, 10).tolist())
        times.append(list(range(1, 11)))
    found = []
    for order in (np.arange(5), draw.permutation(5)):
        later = [[*row[:5], *np.array(row[5:])[order].tolist()] for row in rows]
        whole = interactions_of(later, 20, times)
        writer, made = learned(whole.before(6))
        train(made, TrainConfig(epochs=1, device="cpu"), seed=0, artifacts=dict.fromkeys(made.needs))
        found.append((writer.write(whole.before(6).history, 3), writer.cut_us))
    (one, cut), (other, again) = found
    assert (one[0] == other[0]).all()
    assert one[1].tobytes() == other[1].tobytes()
    assert cut == again == 6


def test_it_is_put_down_and_picked_up():
    writer, _ = learned(some_interactions(), seed=2)
    again = CausalWriter.from_arrays(SMALL, writer.arrays())
    past = history_of([[1, 2, 3], []])
    for one, other in zip(writer.write(past, 3), again.write(past, 3), strict=True):
        assert (one == other).all()
    assert again.fingerprint == writer.fingerprint
    assert again.cut_us == writer.cut_us > 0
    with torch.no_grad():
        again.body.output_vectors()[1, 0] += 1
    assert again.fingerprint != writer.fingerprint


def test_bad_input():
    with pytest.raises(DataError, match="semantic ids of 5 items for a catalogue of 20"):
        learned(some_interactions(), ids=ids_of(5))
    with pytest.raises(DataError, match="no user has two events of items with codes"):
        learned(interactions_of([[1], [2]], 4))
    with pytest.raises(ConfigError, match="dim must be a multiple of heads"):
        parse(CausalConfig, {"dim": 10, "heads": 4}, where="shop.toml")
    writer, _ = learned(some_interactions())
    empty = History(np.zeros(1, np.int64), np.zeros(0, np.int32), np.zeros(0, np.int64))
    assert writer.write(empty, 2)[0].shape == (0, 2, 2)
