from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from headrace.contracts.config import parse
from headrace.contracts.errors import ConfigError
from headrace.encode.reading.reader import Reader, ReaderConfig
from headrace.testing import check_stored
from tests.encode.reading.scorers import READER, TEXTS


@pytest.fixture(scope="module")
def reader():
    return Reader.fitted(READER, TEXTS).eval()


def test_it_is_stored_as_plain_arrays(reader):
    check_stored(reader)
    ids = torch.from_numpy(reader.tokenise(TEXTS, 8))
    copy = Reader.from_arrays(READER, reader.arrays()).eval()
    assert_close(copy.states(ids, ids > 0), reader.states(ids, ids > 0), rtol=0, atol=0)


def test_equal_seeds_give_equal_readers(reader):
    again, other = (Reader.fitted(READER, TEXTS, seed) for seed in (0, 1))
    pairs = [(again.arrays()[name], other.arrays()[name], values) for name, values in reader.arrays().items()]
    assert all(np.array_equal(one, values) for one, _, values in pairs)
    assert not all(np.array_equal(one, values) for _, one, values in pairs)


def test_a_long_text_is_cut_between_its_ends(reader):
    whole, cut = reader.tokenise([TEXTS[1]], 60)[0], reader.tokenise([TEXTS[1]], 6)[0]
    assert cut.tolist() == [*whole[:5], reader.eos]


@torch.no_grad()
def test_what_is_not_there_has_no_say_and_is_zeros(reader):
    ids = torch.from_numpy(reader.tokenise(TEXTS, 8))
    ids[4, 2] = 0  # a gap
    there = ids > 0
    states = reader.states(ids, there)
    assert states.isfinite().all()
    assert not states[~there].any()
    assert states[there].any(-1).all()
    assert_close(reader.states(ids.masked_fill(~there, 9), there), states)
    wider = torch.nn.functional.pad(ids, (0, 3))
    assert_close(reader.states(wider, wider > 0)[:, :8], states)
    assert_close(reader.states(ids[3:4], there[3:4]), states[3:4])


def test_frozen_it_neither_learns_nor_drops():
    reader = Reader.fitted(replace(READER, frozen=True), TEXTS).train()
    ids = torch.from_numpy(reader.tokenise(TEXTS, 8))
    found = reader.states(ids, ids > 0)
    assert not found.requires_grad
    assert_close(found, reader.states(ids, ids > 0), rtol=0, atol=0)
    learning = Reader.fitted(READER, TEXTS).train()
    assert not torch.equal(learning.states(ids, ids > 0), learning.states(ids, ids > 0))


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"kind": "hf"}, 'kind = "hf" and name = ""'),
        ({"name": "owner/name"}, 'kind = "own" and name = "owner/name"'),
        ({"dim": 12, "heads": 4}, "dim = 12 is not a multiple of twice heads = 4"),
        ({"kind": "bert"}, "kind"),
    ],
)
def test_what_is_refused(values, says):
    with pytest.raises(ConfigError, match=says):
        parse(ReaderConfig, values, where="reader")
