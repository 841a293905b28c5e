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
    alone = model.states(target, model.read(tokens))
    beside = model.states(target, model.read(padded, there), there)
    assert_close(beside, alone)


@torch.no_grad()
def test_a_state_has_read_the_codes_before_it_alone():
    model, (tokens, target) = writer(), some()
    memory = model.read(tokens)
    found = model.states(target, memory)
    for level in range(len(SIZES)):
        other = target.clone()
        other[:, level] = model.starts[level] + (other[:, level] - model.starts[level] + 1) % SIZES[level]
        same = (model.states(other, memory) - found).abs().amax((0, 2)) < 1e-6
        assert same.tolist() == [place <= level for place in range(len(SIZES))]


@torch.no_grad()
def test_vectors_of_codes_are_read_as_codes_are():
    model, (tokens, _) = writer(), some()
    assert_close(model.read(model.embed(tokens)), model.read(tokens))


@torch.no_grad()
def test_each_level_has_its_own_symbols():
    model = writer()
    rows = [model.vectors(level) for level in range(len(SIZES))]
    assert [len(own) for own in rows] == list(SIZES)
    assert_close(torch.cat(rows), model.decoder.output_vectors()[1:])


@torch.no_grad()
def test_the_order_of_the_history_is_read():
    model, (tokens, target) = writer(), some()
    turned = tokens.view(3, 4, 3).flip(1).flatten(1)
    first, second = (model.states(target, model.read(one)) for one in (tokens, turned))
    assert (first - second).abs().max() > 1e-3


def test_sides_may_differ_in_depth():
    of = code_body(dim=8, layers=1, heads=2, decoder_layers=3)
    model = CodeWriter(SIZES, of)
    assert (len(model.encoder.stack.blocks), len(model.decoder.stack.blocks), model.levels) == (1, 3, 3)


def test_every_weight_is_trained():
    model, (tokens, target) = writer(), some()
    states = model.states(target, model.read(tokens))
    torch.cat([states[:, level] @ model.vectors(level).T for level in range(3)], 1).square().sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
