from typing import Any

import pytest
import torch
from torch.testing import assert_close

from headrace.nn.body.call import Inputs
from headrace.nn.decode.codes import BodySteps
from headrace.nn.decode.greedy import greedy
from headrace.nn.decode.plain import PlainSteps
from headrace.nn.seeded import seeded
from headrace.nn.summary_writer import SummaryWriter, last_states
from headrace.objectives.summary import summary_loss

FIRST, LAST, NEVER = 1, 2, 3
BOTH = [PlainSteps, BodySteps]


def some_writer(**settings: Any) -> SummaryWriter:
    with seeded(0, "writer"):
        return SummaryWriter(
            width=6, dim=8, layers=2, heads=2, vocabulary=12, first=FIRST, last=LAST, never=(NEVER,), **settings
        ).eval()  # fmt: skip


def some_states(rows=3, length=5):
    states = torch.randn(rows, length, 6, generator=torch.Generator().manual_seed(1))
    there = torch.arange(length) < torch.tensor([[length], [2], [0]])[:rows]
    return states, there


@torch.no_grad()
@pytest.mark.parametrize("kind", BOTH)
def test_step_by_step_gives_the_states_that_the_words_give_at_once(kind):
    writer = some_writer()
    memory, there = writer.memory(*some_states())
    summary = torch.tensor([[4, 5, 6, LAST], [7, LAST, 0, 0], [8, 9, 10, 11]])
    wanted = writer.read(summary, memory, there)
    steps = kind(writer.decoder, memory, there, 4)
    tokens = torch.cat([torch.full((3, 1), FIRST), summary[:, :-1]], 1)
    found = torch.stack([steps.read(column) for column in tokens.unbind(1)], 1)
    assert_close(found, wanted, rtol=1e-5, atol=1e-5)
    assert_close(writer.begun(memory, there), wanted[:, 0], rtol=1e-5, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("kind", BOTH)
def test_what_it_writes_freely_it_would_say_of_its_own_words(kind):
    """Free running and teacher forcing on the same tokens: the same states, and each token the likeliest."""
    writer = some_writer()
    memory, there = writer.memory(*some_states())
    steps = kind(writer.decoder, memory, there, 5)
    words, state = greedy(
        steps, writer.logits, rows=3, first=FIRST, last=LAST, never=writer.never, most=5, device=memory.device
    )  # fmt: skip
    ended = (words == 0).any(1)
    summary = words.clone()
    summary[ended, (words[ended] > 0).sum(1)] = LAST
    states = writer.read(summary, memory, there)
    assert_close(last_states(states, summary), state, rtol=1e-5, atol=1e-5)
    logits = writer.logits(states)
    logits[..., list(writer.never)] = -torch.inf
    said = summary > 0
    assert logits.argmax(-1)[said].equal(summary[said])
    assert not torch.isin(words, torch.tensor([FIRST, NEVER])).any()


@torch.no_grad()
def test_who_is_padded_writes_what_they_write_alone():
    writer = some_writer()
    states, there = some_states()
    words, state = writer.written(*writer.memory(states, there), 6)
    for row, length in enumerate([5, 2, 0]):
        alone = writer.memory(states[row : row + 1, :length], there[row : row + 1, :length])
        found, said = writer.written(*alone, 6)
        assert found[0].equal(words[row])
        assert_close(said[0], state[row], rtol=1e-5, atol=1e-5)
    assert state.isfinite().all(), "one without a single state reads the vector that is always there"


def test_the_last_state_is_the_one_that_says_the_last_token():
    states = torch.arange(24.0).view(3, 4, 2)
    summary = torch.tensor([[5, LAST, 0, 0], [0, 0, 0, 0], [5, 6, 7, 8]])
    assert last_states(states, summary).equal(torch.stack([states[0, 1], states[1, 0], states[2, 3]]))


def test_a_gradient_reaches_all_of_it_and_what_it_reads():
    writer = some_writer().train()
    states, there = some_states()
    states.requires_grad_()
    summary = torch.tensor([[4, 5, 6, LAST], [7, LAST, 0, 0], [8, 9, 10, 11]])
    summary_loss(writer.read(summary, *writer.memory(states, there)), writer.words(), summary).backward()
    assert all(one.grad is not None and one.grad.any() for one in writer.parameters())
    assert states.grad is not None
    assert states.grad[there].abs().sum(-1).all()
    assert not states.grad[~there].any()


def test_it_writes_what_it_was_taught():
    """Each of four users is one of four states, and has words of their own, of several lengths."""
    writer = some_writer().train()
    summary = torch.tensor([[4, 5, LAST, 0], [6, LAST, 0, 0], [5, 4, 7, LAST], [8, 8, 9, 10]])
    states, there = torch.randn(4, 1, 6, generator=torch.Generator().manual_seed(2)), torch.ones(4, 1, dtype=torch.bool)
    moved = torch.optim.Adam(writer.parameters(), lr=0.02)
    for _ in range(60):
        moved.zero_grad()
        summary_loss(writer.read(summary, *writer.memory(states, there)), writer.words(), summary).backward()
        moved.step()
    words, _ = writer.eval().written(*writer.memory(states, there), 4)
    assert words.equal(summary.masked_fill(summary == LAST, 0))


@torch.no_grad()
def test_the_words_know_their_order():
    writer = some_writer()
    memory, there = writer.memory(*some_states(1))
    one = writer.decoder(Inputs(ids=torch.tensor([[FIRST, 4, 5]])), memory=memory, memory_there=there).last[:, -1]
    other = writer.decoder(Inputs(ids=torch.tensor([[FIRST, 5, 4]])), memory=memory, memory_there=there).last[:, -1]
    assert not torch.allclose(one, other)
