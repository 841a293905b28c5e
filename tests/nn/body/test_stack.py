"""Blocks that run again in the backward: nothing but memory may differ."""

from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from torch.autograd.graph import saved_tensors_hooks

from headrace.nn.body.call import Inputs
from headrace.nn.body.config import RoutingConfig, TransformerConfig
from headrace.nn.body.stack import Stack
from headrace.nn.seeded import seeded
from headrace.testing.transformer import made, read, some_inputs
from tests.nn.body.test_transformer import configs


def passed(of, *, again, length=7):
    """All that a pass hands out, and all gradients, with dropout."""
    body, inputs = made(of).train(), some_inputs(of, length=length)
    for stack in (part for part in body.modules() if isinstance(part, Stack)):
        stack.recompute = again
    with seeded(3, "dropout"):
        found = read(body, inputs, inputs)
        loss = found.last.square().mean() + sum(found.exits.values(), found.balance).square().mean()
        loss.backward()
    out = [found.last, *found.exits.values(), found.balance, *found.chosen]
    return out, {name: one.grad for name, one in body.named_parameters()}


def alike(of, length=7):
    (plain, gradients), (again, same) = (passed(of, again=again, length=length) for again in (False, True))
    assert len(again) == len(plain), "what blocks add to the call is added once"
    assert all(one.equal(other) for one, other in zip(again, plain, strict=True))
    for name, gradient in gradients.items():
        assert (same[name] is None) == (gradient is None), name
        assert gradient is None or same[name].equal(gradient), name


@settings(max_examples=20)
@given(configs())
def test_the_same_bits_under_any_switches(of):
    alike(replace(of, dropout=0.3))


@pytest.mark.parametrize("position", ["t5", "gated"])
def test_a_bias_made_once_for_all_layers_keeps_its_gradient(position):
    alike(TransformerConfig(dim=16, decoder_layers=3, heads=2, vocabulary=29, position=position, dropout=0.3))


def test_a_limited_bias_too():
    """Gathered blocks, where a row is long enough for them to pay."""
    of = TransformerConfig(
        dim=8, decoder_layers=2, heads=2, vocabulary=29, position="t5", window=8, dense_layers=(1,), dropout=0.1
    )
    alike(of, length=1100)


@contextmanager
def counted():
    """Bytes that are kept for a backward, each storage once."""
    kept = {}

    def keep(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes(), tensor
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor):
        yield kept


def test_less_is_kept_for_the_backward():
    of = TransformerConfig(dim=32, decoder_layers=8, heads=2, vocabulary=29, dropout=0.1)
    bytes_kept = {}
    for again in (False, True):
        body, inputs = made(of).train(), some_inputs(of, length=64)
        weights = {one.untyped_storage().data_ptr() for one in body.parameters()}
        body.stack.recompute = again
        with counted() as kept:
            loss = read(body, inputs, inputs).last.square().mean()
        bytes_kept[again] = sum(size for where, (size, _) in kept.items() if where not in weights)
        loss.backward()
    states = 3 * 64 * 32 * 4  # rows, tokens, dim, bytes
    assert bytes_kept[True] >= 8 * states, "the blocks' inputs"
    assert bytes_kept[True] < bytes_kept[False] / 8


def test_several_gradients_of_one_pass():
    """As balancers take them."""
    of = TransformerConfig(dim=16, decoder_layers=2, heads=2, vocabulary=29, dropout=0.3, routing=RoutingConfig(experts=2))
    found = {}
    for again in (False, True):
        body, inputs = made(of).train(), some_inputs(of)
        body.stack.recompute = again
        with seeded(3, "dropout"):
            last = read(body, inputs, inputs).last
            free = list(body.stack.parameters())
            one = torch.autograd.grad(last.square().mean(), free, retain_graph=True, allow_unused=True)
            other = torch.autograd.grad(last.abs().mean(), free, allow_unused=True)
        found[again] = [gradient for gradient in (*one, *other) if gradient is not None]
    assert all(one.equal(other) for one, other in zip(found[True], found[False], strict=True))


def test_a_cache_is_never_read_twice():
    of = TransformerConfig(dim=16, decoder_layers=2, heads=2, vocabulary=29)
    body, ids = made(of), torch.randint(29, (3, 7), generator=torch.Generator().manual_seed(0))
    plain = body(Inputs(ids=ids)).last
    body.stack.recompute = True
    cache = body.cache(rows=3, extent=7)
    parts = [body(Inputs(ids=some), cache=cache).last for some in ids.split([4, 3], 1)]
    torch.testing.assert_close(torch.cat(parts, 1), plain)
    assert cache.filled == 7
