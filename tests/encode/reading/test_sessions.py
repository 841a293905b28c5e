from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.testing import assert_close

from headrace.encode.reading.sessions import read_in_sessions, tokens_at_most
from headrace.nn.seeded import seeded

SOS, EOS = 1, 2


class Places(nn.Module):
    """A state says its token, its place, and the sum of all that was read with it."""

    dim, sos, eos = 3, SOS, EOS

    def __init__(self):
        super().__init__()
        self.rows = 0

    def states(self, ids, there):
        self.rows += ids.shape[0]
        place = torch.arange(ids.shape[1]).expand(ids.shape)
        return torch.stack([ids, place, ids.sum(1, keepdim=True).expand(ids.shape)], -1).float() * there.unsqueeze(-1)


def reading() -> Any:
    return Places()


def framed(words):
    """[.., T], 0 behind -> [.., T + 2] between SOS and EOS; no words, no frame."""
    length = (words > 0).sum(-1, keepdim=True)
    begun = nn.functional.pad(nn.functional.pad(words, (1, 0), value=SOS), (0, 1))
    return torch.where(torch.arange(begun.shape[-1]) == length + 1, EOS, begun) * (length > 0)


def drawn(seed, rows=3, kept=5, wide=3):
    """Texts of 0 to 3 words; row 0 has no items, row 1 one at most."""
    with seeded(seed, "test"):
        length = torch.randint(0, wide + 1, (rows, kept, 1))
        words = torch.randint(3, 9, (rows, kept, wide)) * (torch.arange(wide) < length)
        items = torch.arange(kept) < torch.randint(1, kept + 1, (rows, 1))
    items[0], items[1] = False, torch.arange(kept) < 1
    return framed(words * items.unsqueeze(-1))


PREFIX = framed(torch.tensor([[4, 5, 0], [0, 0, 0], [7, 0, 0]]))


def one_by_one(tokens, session, prefix=()):
    """The tokens of one user as a loop lays them out: (token, place, sum, item, begins) each."""
    found: list[tuple[int, int, int, int, bool]] = []

    def read(texts):
        ids = [(token, item, at == 0) for item, text in texts for at, token in enumerate(text)]
        found.extend((token, place, sum(one[0] for one in ids), item, begins) for place, (token, item, begins) in enumerate(ids))

    texts = [(item, [token for token in text if token]) for item, text in enumerate(tokens)]
    read([(-1, prefix)])
    for start in range(0, len(texts), session):
        read(texts[start : start + session])
    return found


@given(st.integers(0, 10_000), st.integers(1, 6), st.booleans())
def test_against_a_loop(seed, session, with_prefix):
    tokens = drawn(seed)
    read = read_in_sessions(reading(), tokens, session, PREFIX if with_prefix else None)
    for row in range(3):
        prefix = [token for token in PREFIX[row].tolist() if token and with_prefix]
        wanted = one_by_one(tokens[row].tolist(), session, prefix)
        there, items = read.there[row], (tokens[row] > 0).any(-1)
        assert read.states[row, there].tolist() == [list(one[:3]) for one in wanted]
        assert read.item_of[row, there].tolist() == [one[3] for one in wanted]
        assert read.starts[row, there].tolist() == [one[4] for one in wanted]
        assert (read.states[row, ~there] == 0).all()
        assert (read.item_of[row, ~there] == -1).all()
        assert not read.starts[row, ~there].any()
        assert read.items[row].equal(items)
        assert read.item_starts()[row, items].tolist() == [list(one[:3]) for one in wanted if one[4] and one[3] >= 0]
        assert (read.item_starts()[row, ~items] == 0).all()
    assert read.there.shape[1] <= tokens_at_most(5, session, 5, 5 if with_prefix else 0)


def test_only_sessions_with_an_item_are_read():
    """Of 5 items in sessions of 2, users with 0, 1 and 3."""
    tokens = framed(torch.tensor([[[0]] * 5, [[3], [0], [0], [0], [0]], [[3], [4], [5], [0], [0]]]))
    reader = reading()
    read = read_in_sessions(reader, tokens, 2)
    assert reader.rows == 3
    assert read.there.shape[1] == 3 * 6, "three sessions, the longest of two items of three tokens"


def test_users_without_any_item_give_zeros():
    read = read_in_sessions(reading(), torch.zeros(3, 5, 4, dtype=torch.int64), 2)
    assert read.states.shape == (3, 3, 3)
    assert not any(one.any() for one in (read.states, read.there, read.item_starts(), read.items))


@pytest.mark.filterwarnings("ignore:.torch.jit.trace")
@pytest.mark.parametrize("session", [1, 2, 5])
def test_traced_it_reads_the_same(session):
    """A traced file's shapes are set, so it has all columns; the tokens are those of the eager form."""

    class Side(nn.Module):
        def __init__(self):
            super().__init__()
            self.reader = reading()

        def forward(self, tokens, prefix):
            read = read_in_sessions(self.reader, tokens, session, prefix)
            return read.states, read.there, read.item_of, read.item_starts()

    traced = torch.jit.trace(Side(), (drawn(1), PREFIX), check_trace=False)
    for seed in (1, 2):
        states, there, item_of, starts = traced(drawn(seed), PREFIX)
        read = read_in_sessions(reading(), drawn(seed), session, PREFIX)
        assert states.shape[1] == tokens_at_most(5, session, 5, 5)
        assert_close(starts, read.item_starts())
        assert states[there].equal(read.states[read.there])
        assert item_of[there].equal(read.item_of[read.there])
