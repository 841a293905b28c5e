import pytest
import torch
from torch.testing import assert_close

from headrace.nn.codes import CodeWriter, code_body, padding
from headrace.nn.seeded import seeded

SIZES = (4, 3, 2)
OF = code_body(dim=8, layers=2, heads=2)


def writer():
    with seeded(0, "init"):
        return CodeWriter(SIZES, OF).eval()


def some(rows=3, items=4):
    draw = torch.Generator().manual_seed(0)
    starts = torch.tensor([1, 5, 8])
    codes = torch.stack([torch.randint(size, (rows, items), generator=draw) for size in SIZES], -1) + starts
    return codes.flatten(1), codes[:, 0]


@torch.no_grad()
def test_padding_has_no_say():
    model, (tokens, target) = writer(), some()
    padded = torch.cat([tokens, tokens.new_zeros(len(tokens), 3)], 1)
    there = padding(padded)
    assert padding(tokens) is None
    alone = model.states(target, model.read(model.embed(tokens)))
    beside = model.states(target, model.read(model.embed(padded), there), there)
    assert_close(beside, alone)


@torch.no_grad()
def test_a_state_has_read_the_codes_before_it_alone():
    model, (tokens, target) = writer(), some()
    memory = model.read(model.embed(tokens))
    found = model.states(target, memory)
    for level in range(len(SIZES)):
        other = target.clone()
        other[:, level] = model.starts[level] + (other[:, level] - model.starts[level] + 1) % SIZES[level]
        same = (model.states(other, memory) - found).abs().amax((0, 2)) < 1e-6
        assert same.tolist() == [place <= level for place in range(len(SIZES))]


@torch.no_grad()
def test_level_by_level_is_the_same_as_all_at_once():
    model, (tokens, target) = writer(), some()
    memory, cache = model.read(model.embed(tokens)), model.cache(rows=len(tokens))
    read = torch.cat([target.new_zeros(len(target), 1), target[:, :-1]], 1)
    steps = [model.next_states(model.embed(read[:, [level]]), memory, cache=cache) for level in range(len(SIZES))]
    assert_close(torch.cat(steps, 1), model.states(target, memory))


@torch.no_grad()
def test_probabilities_are_over_the_levels_own_symbols():
    model, (tokens, target) = writer(), some()
    states = model.states(target, model.read(model.embed(tokens)))
    for level, size in enumerate(SIZES):
        found = model.log_probabilities(states[:, level], level)
        assert found.shape == (3, size)
        assert_close(found.exp().sum(-1), torch.ones(3))
    rows = [model.vectors(level) for level in range(len(SIZES))]
    assert_close(torch.cat(rows), model.tokens.weight[1:])


@torch.no_grad()
def test_the_order_of_the_history_is_read():
    model, (tokens, target) = writer(), some()
    turned = tokens.view(3, 4, 3).flip(1).flatten(1)
    first, second = (model.states(target, model.read(model.embed(one))) for one in (tokens, turned))
    assert (first - second).abs().max() > 1e-3


def test_sides_may_differ_in_depth():
    of = code_body(dim=8, layers=1, heads=2, decoder_layers=3)
    model = CodeWriter(SIZES, of)
    assert (len(model.encoder.blocks), len(model.decoder.blocks), model.levels) == (1, 3, 3)
    with pytest.raises(IndexError):
        model.vectors(3)
