"""Codes and bins by hand, and batches that a ranker's objective can read."""

import numpy as np
import torch

from headrace.recipes.rows.table import TableBatches, coded

WORDS = np.array([3] * 6 + [1] * 8 + [2] * 4 + [9] * 2)
NUMBERS = np.array([0.0] * 10 + [float(value) for value in range(1, 11)])


def made(train=None):
    rows = np.arange(20) if train is None else train
    labels = {"bought": (WORDS == 3).astype(np.float32), "rare": np.zeros(20, np.float32)}
    return coded({"word": WORDS, "number": NUMBERS}, labels, np.zeros(20, np.int64), train=rows, valid=rows[:3], test=rows)


def test_codes_go_by_how_often_training_has_a_value_and_rare_ones_are_unknown():
    read = made()
    word = read.train.codes[:, 0]
    assert word[WORDS == 1].tolist() == [1] * 8
    assert word[WORDS == 3].tolist() == [2] * 6
    assert not word[np.isin(WORDS, (2, 9))].any(), "four rows are too few"
    assert read.sizes[0] == 3


def test_the_least_value_has_a_bin_of_its_own_and_the_others_are_spread():
    read = made()
    number = read.train.codes[:, 1]
    assert (number[:10] == 1).all()
    assert number[10:].min() == 2
    assert (np.diff(number[10:]) > 0).all()
    assert number.max() < read.sizes[1]


def test_nothing_is_fitted_on_other_rows():
    few = np.r_[0:6, 10:16]  # of the numbers above 0 the six least
    first, second = made(few), made()
    assert first.sizes[1] < second.sizes[1] or first.train.codes[-1, 1] != second.train.codes[15, 1]
    moved = NUMBERS.copy()
    moved[16:] = 1e9
    labels = {"bought": np.zeros(20, np.float32)}
    again = coded({"number": moved}, labels, np.zeros(20, np.int64), train=few, valid=few, test=few)
    assert np.array_equal(again.train.codes[:, 0], first.train.codes[:, 1])


def test_a_batch_is_a_list_of_one_candidate_and_an_epoch_has_every_row_once():
    read = made()
    batches = TableBatches(read.train, 6, seed=1)
    epoch = batches.epoch(0)
    assert [len(batch["codes"]) for batch in epoch] == [6, 6, 6, 2]
    batch = epoch[0]
    assert batch["items"].tolist() == [[1]] * 6
    assert batch["label"].shape == batch["label.rare"].shape == (6, 1)
    assert torch.equal(batch["label"], batch["label.bought"])
    seen = torch.cat([one["codes"] for one in epoch])
    assert torch.equal(seen.sort(0).values, torch.from_numpy(read.train.codes).sort(0).values)
    again, other = batches.epoch(0), batches.epoch(1)
    assert torch.equal(again[1]["codes"], epoch[1]["codes"])
    assert any(not torch.equal(a["codes"], b["codes"]) for a, b in zip(epoch, other, strict=True))
