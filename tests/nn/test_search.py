import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from headrace.nn.search import best, largest, products, read_at, whole


def slow(scores, there, k):
    """One candidate at a time, sorted by score, then by how new."""
    rows, width, length = scores.shape
    found = []
    for row in range(rows):
        for place in range(width):
            may = [t for t in range(length) if (there[row, t] if there.dim() == 2 else there[row, place, t])]
            found.append(sorted(may, key=lambda t: (scores[row, place, t].item(), t), reverse=True)[:k])
    return found


def fast(found):
    return [places[there].tolist() for places, there in zip(found.places.flatten(0, 1), found.there.flatten(0, 1), strict=True)]


@given(st.integers(0, 10_000), st.integers(1, 12), st.booleans())
def test_the_best_are_those_of_a_slow_search(seed, k, each):
    draw = np.random.default_rng(seed)
    shape = (2, 3, 9)
    there = torch.from_numpy(draw.random(shape if each else (2, 9)) < 0.6)
    counts = torch.from_numpy(draw.integers(-1, 3, shape).astype(np.float32))
    assert fast(best(counts, there, k)) == slow(counts, there, k)
    large = draw.choice(draw.integers(-(2**48), 2**48, 4)) + draw.integers(0, 2, shape)
    assert fast(best(torch.from_numpy(large).double(), there, k)) == slow(torch.from_numpy(large), there, k)
    scores = torch.from_numpy(draw.permutation(54).reshape(shape).astype(np.float32)) - 30
    assert fast(largest(scores, there, k)) == slow(scores, there, k)


def test_products_of_whole_numbers_are_exact_wherever_they_stand():
    draw = torch.Generator().manual_seed(0)
    target, event = torch.randn(2, 5, 37, generator=draw), torch.randn(2, 1, 37, generator=draw)
    found = products(whole(target), whole(event).expand(2, 1001, 37))
    assert (found == found[..., :1]).all()
    exact = (whole(target).long() * whole(event).long()).sum(-1)
    assert found[..., 0].long().equal(exact)
    assert_close(found[..., 0] / 2**24, (target * event).sum(-1).double(), atol=0.01, rtol=0)  # steps of 1/4096, 37 of them
    assert whole(torch.tensor([-99.0, 2.0**-12])).tolist() == [-8 * 4096, 1]


def test_no_event_that_is_not_there_is_found():
    scores = torch.full((1, 1, 4), -1e30)
    scores[..., 2:] = 1e30
    found = best(scores, torch.tensor([[True, True, False, False]]), 3)
    assert found.places[found.there].tolist() == [1, 0]
    assert not best(scores, torch.zeros(1, 4, dtype=torch.bool), 3).there.any()


def test_what_is_read_stands_in_its_row_and_gives_its_gradient_back():
    draw = torch.Generator().manual_seed(0)
    values = torch.randn(3, 5, 2, generator=draw, requires_grad=True)
    places = torch.randint(5, (3, 4, 2), generator=draw)
    read = read_at(values, places)
    for row in range(3):
        assert_close(read[row], values[row][places[row]])
    read.sum().backward()
    counts = torch.stack([torch.bincount(row.flatten(), minlength=5) for row in places])
    assert_close(values.grad, counts.unsqueeze(-1).expand(3, 5, 2).float())
