import pytest
import torch

from headrace.nn.seeded import seeded


def test_a_stream_is_borrowed_and_given_back():
    before = torch.random.get_rng_state()
    with seeded(0, "init", "a"):
        first = torch.rand(4)
    with seeded(0, "init", "b"):
        other = torch.rand(4)
    with seeded(0, "init", "a"):
        again = torch.rand(4)
    assert first.equal(again)
    assert not first.equal(other)
    assert torch.random.get_rng_state().equal(before)


def test_it_is_given_back_after_an_error():
    before = torch.random.get_rng_state()
    with pytest.raises(ZeroDivisionError), seeded(0):
        torch.rand(int(1 / 0))
    assert torch.random.get_rng_state().equal(before)
