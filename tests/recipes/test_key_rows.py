import numpy as np
import pytest

from headrace.contracts.rng import rng
from headrace.recipes.key_rows import NOISE, SLOTS, VALUES, Growing, key_rows

KEYS = SLOTS * VALUES


@pytest.mark.parametrize("back", [0, 44])
def test_what_asks_for_a_slot_is_answered_by_its_key(back):
    rows = key_rows(20, 64, rng(0, "test"), back=back)
    for ids, targets in zip(rows["ids"].numpy(), rows["targets"].numpy(), strict=True):
        at = np.flatnonzero(ids < KEYS)
        key = dict(zip(ids[at] // VALUES, ids[at], strict=True))
        assert sorted(key) == list(range(SLOTS))
        assert at.max() < 16
        asks = np.flatnonzero((ids >= KEYS) & (ids < KEYS + SLOTS))
        assert np.array_equal(asks, np.flatnonzero(targets >= 0))
        assert [key[ids[place] - KEYS] for place in asks] == targets[asks].tolist()
        if back:
            assert np.array_equal(np.sort(asks), at + back)
        else:
            assert len(asks) == 8
            assert asks.min() >= 16
        assert ids.max() < KEYS + SLOTS + NOISE


def test_rows_grow_and_every_step_has_as_many_tokens():
    batches = Growing(8 * 2 * 128, rows=2, length=128, seed=0)
    assert [tuple(batches[step]["ids"].shape) for step in range(len(batches))] == [
        (16, 16), (16, 16), (8, 32), (8, 32), (4, 64), (4, 64), (2, 128), (2, 128),
    ]  # fmt: skip
    assert batches[7]["ids"].equal(batches.epoch(3)[7]["ids"])
    assert not batches[7]["ids"].equal(Growing(8 * 2 * 128, rows=2, length=128, seed=1)[7]["ids"])
