"""The contract under all switches; then what gradients do, which the public suite does not look at."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy

from headrace.contracts.errors import DataError
from headrace.nn.body.call import Inputs
from headrace.nn.body.config import AdapterConfig, PatternConfig, RoutingConfig, TransformerConfig
from headrace.nn.body.frozen import freeze_routing, only_adapter
from headrace.nn.body.transformer import Transformer
from headrace.testing import check_transformer
from headrace.testing.transformer import made, read, some_inputs

V = 29
POSITIONS: list[Any] = ["none", "learned", "sinusoidal", "t5", "gated", "rope", "xpos"]
TINY = TransformerConfig(dim=16, decoder_layers=2, heads=2, vocabulary=V)


@st.composite
def configs(draw):
    """Any combination that `clashes` lets through, of tiny size."""

    def one(*options):
        return draw(st.sampled_from(options))

    encoder, decoder = one((0, 2), (2, 0), (1, 2))
    place = one("post", "pre", "sub")
    extra = {"post": ["deepnorm"], "pre": ["magneto"], "sub": ["magneto"]}[place]
    routing, branches = one((RoutingConfig(), 1), (RoutingConfig(), 2), (draw(routings()), 1))
    adapters = one((), (AdapterConfig(name="a", rank=2), AdapterConfig(name="b", kind="bottleneck", rank=2)))
    limits = [{}, {"window": 3, "dense_layers": (0,)}, {"pattern": PatternConfig(block=2, local=1, stride=2)}]
    crosses = ["none", "standard", "interleaved"]
    return TransformerConfig(
        dim=16, encoder_layers=encoder, decoder_layers=decoder, heads=4, kv_heads=one(0, 2), hidden=one(0, 24),
        vocabulary=one(0, V), side=one((), (("kind", 3),)), tie=one(True, False), length=16,
        norm=one("layer", "rms"), norm_place=place,
        init=one("bert", "xavier", "fan_in", *extra), activation=one("gelu", "relu", "swiglu", "geglu"),
        bias=one("all", "feed_forward", "none"), dropout=one(0.0, 0.1), position=one(*POSITIONS[: 6 if encoder else 7]),
        buckets=8, cross=one(*crosses[(encoder > 0) * (decoder > 0) : 3 if decoder else 1]),
        routing=routing, adapters=adapters, branches=branches, exits=one((), (0, 1)), **one(*limits[: 2 if encoder else 3]),
    )  # fmt: skip


def routings():
    return st.builds(
        RoutingConfig, experts=st.just(4), top_k=st.integers(1, 2), router=st.sampled_from(["dot", "sphere"]),
        gate=st.sampled_from(["softmax", "sigmoid"]), every=st.integers(1, 2),
    )  # fmt: skip


@settings(max_examples=20)
@given(configs())
def test_contract(config):
    check_transformer(config)


@pytest.mark.parametrize("position", POSITIONS)
def test_contract_of_each_position(position):
    check_transformer(replace(TINY, position=position))


@pytest.mark.parametrize("longer", [4, 16])
def test_contract_of_long_rope(longer):
    """Rows of 7 tokens, beyond the trained length and within it."""
    of = replace(TINY, rotary_share=0.5, short_factors=(1.0, 1.1), long_factors=(2.0, 3.0), length=longer, longest=32)
    check_transformer(of)


def trained(body, inputs, targets, steps, learning_rate=0.01):
    free = [parameter for parameter in body.parameters() if parameter.requires_grad]
    optimizer = torch.optim.Adam(free, lr=learning_rate)
    for _ in range(steps):
        found = read(body, inputs, inputs)
        loss = cross_entropy(body.logits(found.last).flatten(0, 1), targets.flatten())
        optimizer.zero_grad()
        (loss + 0.01 * found.balance).backward()
        optimizer.step()
    return float(loss.detach())


@pytest.mark.parametrize(
    "of",
    [
        replace(TINY, decoder_layers=1),
        replace(TINY, decoder_layers=1, norm_place="sub", init="magneto", position="xpos", activation="swiglu"),
        replace(TINY, norm_place="post", init="deepnorm", position="t5", routing=RoutingConfig(experts=4, every=2)),
        replace(TINY, encoder_layers=1, decoder_layers=1, cross="interleaved", position="gated"),
    ],
    ids=["plain", "magneto-xpos", "deepnorm-experts", "interleaved"],
)
def test_it_overfits_eight_rows(of):
    of = replace(of, dim=32)
    ids = torch.randint(V, (8, 9), generator=torch.Generator().manual_seed(0))
    ids[:, 0] = torch.arange(8)  # else the first target could not be told
    inputs = Inputs(ids=ids[:, :-1])
    assert trained(made(of).train(), inputs, ids[:, 1:], steps=120) < 0.05


def test_what_is_frozen_stays_bit_for_bit():
    of = replace(TINY, adapters=(AdapterConfig(name="a", rank=2), AdapterConfig(name="b", kind="bottleneck", rank=2)))
    body, inputs = made(of), some_inputs(of)
    only_adapter(body, "a")
    before = {name: values.clone() for name, values in body.state_dict().items()}
    off = replace(inputs, adapter=torch.zeros(3, dtype=torch.int64))
    base = body(off).last
    assert body(inputs).last.equal(base), "an adapter that was not trained changes nothing"
    trained(body, replace(inputs, adapter=torch.ones(3, dtype=torch.int64)), inputs.ids, 3)
    moved = {name for name, values in body.state_dict().items() if not values.equal(before[name])}
    assert moved
    assert all(".loras.a." in name for name in moved)
    mixed = body(replace(inputs, adapter=torch.tensor([0, 1, 0]))).last
    assert mixed[[0, 2]].equal(base[[0, 2]]), "rows that take none stay as they are"
    assert not mixed[1].equal(base[1])


def test_routing_can_be_frozen():
    of = replace(TINY, routing=RoutingConfig(experts=4))
    body, inputs = made(of), some_inputs(of)
    freeze_routing(body)
    before = {name: values.clone() for name, values in body.state_dict().items()}
    trained(body, inputs, inputs.ids, 2)
    moved = {name for name, values in body.state_dict().items() if not values.equal(before[name])}
    assert moved
    assert not any(".router." in name or ".experts." in name for name in moved)


def test_gradients_reach_every_parameter_and_dropout_follows_the_seed():
    of = replace(TINY, encoder_layers=1, cross="standard", dropout=0.3, norm_place="sub", position="gated", kv_heads=1)
    body, inputs = made(of).train(), some_inputs(of)
    body.encoder.stack.bias.u.data.normal_()
    read(body, inputs, inputs).last.square().sum().mul(torch.pi).sin().backward()
    missing = [name for name, parameter in body.named_parameters() if parameter.grad is None or not parameter.grad.any()]
    assert missing == []
    states = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        states.append(read(body, inputs, inputs).last)
    assert states[0].equal(states[1])
    assert not states[0].equal(states[2])


@torch.no_grad()
def test_a_fork_continues_one_history_many_ways():
    for position in POSITIONS:
        of = replace(TINY, position=position, kv_heads=1)
        body, draw = made(of), torch.Generator().manual_seed(0)
        past, next_ids = (torch.randint(V, shape, generator=draw) for shape in ((1, 6), (5, 4)))
        shared = body.cache(rows=1, extent=12)
        body(Inputs(ids=past), cache=shared)
        each = shared.fork(rows=5)
        found = torch.cat([body(Inputs(ids=next_ids[:, step]), cache=each).last for step in (slice(0, 3), slice(3, 4))], 1)
        wanted = body(Inputs(ids=torch.cat([past.expand(5, -1), next_ids], 1))).last[:, 6:]
        torch.testing.assert_close(found, wanted, rtol=1e-3, atol=2e-5)
        each.reorder(torch.tensor([4, 0]))
        later = body(Inputs(ids=next_ids[:2, :1]), cache=each).last
        rows = torch.cat([past.expand(2, -1), next_ids[[4, 0]], next_ids[:2, :1]], 1)
        torch.testing.assert_close(later, body(Inputs(ids=rows)).last[:, -1:], rtol=1e-3, atol=2e-5)


@torch.no_grad()
def test_a_fork_continues_each_of_several_histories_many_ways():
    for position in POSITIONS:
        of = replace(TINY, position=position, kv_heads=1)
        body, draw = made(of), torch.Generator().manual_seed(0)
        past, next_ids = (torch.randint(V, shape, generator=draw) for shape in ((2, 6), (6, 2)))
        shared = body.cache(rows=2, extent=9)
        body(Inputs(ids=past), cache=shared)
        each = shared.fork(rows=6)
        found = body(Inputs(ids=next_ids), cache=each).last
        rows = torch.cat([past.repeat_interleave(3, 0), next_ids], 1)
        torch.testing.assert_close(found, body(Inputs(ids=rows)).last[:, 6:], rtol=1e-3, atol=2e-5)
        each.reorder(torch.tensor([2, 0, 5, 5]))  # two of each: rows keep to their history
        later = body(Inputs(ids=next_ids[:4, :1]), cache=each).last
        rows = torch.cat([rows[[2, 0, 5, 5]], next_ids[:4, :1]], 1)
        torch.testing.assert_close(later, body(Inputs(ids=rows)).last[:, -1:], rtol=1e-3, atol=2e-5)


@torch.no_grad()
def test_slots_take_vectors_and_prefixes_are_seen_by_all():
    body, inputs = made(TINY), some_inputs(TINY)
    slots = torch.zeros(3, 7, dtype=torch.bool)
    slots[:, 2] = True
    vectors = body.embedding.tokens(inputs.ids)
    wanted = body(inputs).last
    assert body(replace(inputs, slots=slots, vectors=vectors)).last.equal(wanted)
    other = body(replace(inputs, slots=slots, vectors=vectors.flip(-1))).last
    assert other[:, :2].equal(wanted[:, :2])
    assert not torch.allclose(other[:, 2:], wanted[:, 2:], atol=1e-2)
    prefixed = body(replace(inputs, prefix=torch.tensor([0, 4, 7]))).last
    torch.testing.assert_close(prefixed[0], wanted[0])
    changed = torch.as_tensor(inputs.ids).clone()
    changed[:, 3] = (changed[:, 3] + 1) % V
    moved = (body(replace(inputs, ids=changed, prefix=torch.tensor([0, 4, 7]))).last - prefixed).abs().amax(-1) > 1e-4
    assert [row.nonzero()[0, 0].item() for row in moved] == [3, 0, 0]


@torch.no_grad()
def test_exits_are_the_states_between_layers_and_can_cut_the_gradient():
    body, inputs = made(replace(TINY, exits=(0, 1, 2))), some_inputs(TINY)
    found = body(inputs)
    assert found.exits[0].equal(body.embedding(inputs))
    assert body.stack.last_norm.ways[0](found.exits[2]).equal(found.last)
    body = made(replace(TINY, exits=(1,), detach_exits=True))
    with torch.enable_grad():
        body(inputs).last.square().sum().backward()
    assert all(parameter.grad is None for parameter in body.stack.blocks[0].parameters())
    assert body.stack.blocks[1].sublayers["feed"].inside.narrow.ways[0].weight.grad is not None


@torch.no_grad()
def test_a_branch_is_a_body_of_its_own():
    """Tokens that all take branch 1 meet the parameters of branch 1 alone."""
    of = replace(TINY, branches=2)
    body, inputs = made(of), some_inputs(of)
    ones = replace(inputs, branch=torch.ones(3, 7, dtype=torch.int64))
    before = body(ones).last
    for name, parameter in body.named_parameters():
        if ".ways.0." in name:
            parameter.add_(1)
    assert body(ones).last.equal(before)
    assert not torch.allclose(body(inputs).last, before, atol=1e-2)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"inputs": Inputs()}, "neither ids nor vectors"),
        ({"inputs": Inputs(ids=torch.zeros(1, 2, dtype=torch.int64), vectors=torch.zeros(1, 2, 16))}, "no slots"),
        ({"inputs": Inputs(vectors=torch.zeros(1, 2, 16), slots=torch.ones(1, 2, dtype=torch.bool))}, "need ids and vectors"),
        ({"inputs": Inputs(ids=torch.zeros(1, 2, dtype=torch.int64), side={"x": torch.zeros(1, 2)})}, "side ids"),
        ({"inputs": Inputs(vectors=torch.zeros(1, 17, 16)), "of": {"position": "learned", "length": 16}}, "table of 16"),
        ({"of": {"cross": "standard"}}, "got no memory"),
        ({"of": {"branches": 2}, "inputs": Inputs(vectors=torch.zeros(1, 2, 16))}, "needs each token's branch"),
        ({"inputs": Inputs(vectors=torch.zeros(1, 2, 16), adapter=torch.tensor([1]))}, "has 0, from 1"),
    ],
)  # fmt: skip
def test_bad_inputs_are_named(change, said):
    body = Transformer(replace(TINY, **change.get("of", {})), "decoder")
    with pytest.raises(DataError, match=said):
        body(change.get("inputs", some_inputs(TINY)))


def test_a_cache_says_what_does_not_fit():
    body = made(TINY)
    cache, two = body.cache(rows=1, extent=3), Inputs(ids=torch.zeros(1, 2, dtype=torch.int64))
    with pytest.raises(DataError, match="read the prefix first"):
        cache.fork(2)
    body(two, cache=cache)
    with pytest.raises(DataError, match="for 3 tokens has 2 and got 2 more"):
        body(two, cache=cache)
    with pytest.raises(DataError, match="cache of 1 rows got 2"):
        body(Inputs(ids=torch.zeros(2, 1, dtype=torch.int64)), cache=cache)
    with pytest.raises(DataError, match="can't be forked: take one that is no fork"):
        cache.fork(2).fork(2)
    two = body.cache(rows=2, extent=3)
    body(Inputs(ids=torch.zeros(2, 1, dtype=torch.int64)), cache=two)
    with pytest.raises(DataError, match="of 2 rows can't be forked to 3"):
        two.fork(3)
    with pytest.raises(DataError, match="encoder"):
        made(replace(TINY, encoder_layers=1, decoder_layers=0)).cache(rows=1, extent=2)
