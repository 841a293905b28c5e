import math
from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

from headrace.nn.body.config import RoutingConfig, TransformerConfig
from headrace.nn.body.experts import Experts, Router
from headrace.nn.body.feedforward import FeedForward
from headrace.nn.seeded import seeded
from headrace.testing.transformer import made, some_inputs

OF = TransformerConfig(dim=16, decoder_layers=1, routing=RoutingConfig(experts=8))


def router(**switches):
    with seeded(0, "router"):
        return Router(replace(OF, routing=replace(OF.routing, **switches)))


class Silent:
    """The call of a layer of experts."""

    def __init__(self, counted=None):
        self.counted, self.adapter, self.balance, self.chosen = counted, None, [], []


def states(rows=2, length=5):
    return torch.randn(rows, length, 16, generator=torch.Generator().manual_seed(0))


def test_the_sphere_has_half_as_many_dimensions_as_experts_and_four_at_least():
    assert router().down.weight.shape == (4, 16)
    assert router(experts=32).down.weight.shape == (16, 16)
    assert router(width=3).down.weight.shape == (3, 16)


def test_scores_are_cosines_on_the_sphere():
    one, x = router(), states()[0]
    projected = x @ one.down.weight.T
    wanted = torch.nn.functional.cosine_similarity(projected[:, None], one.experts[None], dim=-1)
    assert_close(one(x), wanted)
    assert_close(one(x * 7), wanted, msg="only the direction counts")
    dot = router(router="dot")
    assert_close(dot(x), x @ dot.experts.T)


@pytest.mark.parametrize("kind", ["sphere", "dot"])
def test_routing_stays_in_float32_where_the_forward_does_not(kind):
    one, x = router(router=kind), states()[0]
    with torch.autocast("cpu", torch.bfloat16):
        found = one(x)
    assert_close(found, one(x), rtol=0, atol=0)


def test_gates_have_a_learned_temperature_with_a_floor():
    scores, chosen = torch.tensor([[0.5, 0.1, -0.2]]), torch.tensor([[0]])
    one = router(experts=3, temperature=0.5)
    assert_close(one.gates(scores, chosen), (scores / 0.5).softmax(-1)[:, :1])
    assert one.temperature.requires_grad
    one.temperature.data.fill_(-1.0)
    assert_close(one.gates(scores, chosen), (scores / 0.01).softmax(-1)[:, :1])
    assert_close(router(experts=3, gate="sigmoid", temperature=0.5).gates(scores, chosen), (scores / 0.5).sigmoid()[:, :1])
    two = router(experts=3, temperature=0.5).gates(scores, torch.tensor([[0, 1]]))
    assert_close(two, (scores[:, :2] / 0.5).softmax(-1))


@pytest.mark.parametrize(("switches", "settled"), [({}, 0.3), ({"gate": "sigmoid"}, 0.07), ({"router": "dot"}, 1.0)])
def test_the_balance_loss_is_one_when_even_and_the_formula_else(switches, settled):
    one = router(experts=4, **switches)
    even = torch.arange(4).view(-1, 1)
    assert_close(one.balance(torch.zeros(4, 4), even), torch.tensor(1.0))
    scores = torch.tensor([[0.4, 0.1, 0.0, -0.3], [0.2, 0.3, 0.0, 0.1], [0.9, 0.1, 0.2, 0.0]])
    chosen = scores.argmax(-1, keepdim=True)
    p = (scores / settled).softmax(-1).mean(0)
    assert_close(one.balance(scores, chosen), 4 * (2 / 3 * p[0] + 1 / 3 * p[1]))


def test_each_token_meets_its_experts_alone():
    with seeded(0, "experts"):
        experts = Experts(replace(OF, routing=RoutingConfig(experts=4, top_k=2)))
    x, call = states(), Silent()
    found = experts(x, call)
    scores = experts.router(x.view(-1, 16))
    for place, (token, score) in enumerate(zip(x.view(-1, 16), scores, strict=True)):
        chosen = score.topk(2).indices
        gates = experts.router.gates(score[None], chosen[None])[0]
        each = [experts.experts[int(number)](token[None], call)[0] for number in chosen]
        wanted = gates @ torch.stack(each)
        assert_close(found.view(-1, 16)[place], wanted, rtol=1e-4, atol=1e-6)
        assert call.chosen[0].view(-1, 2)[place].equal(chosen)


def test_padding_counts_in_no_balance_and_gradients_reach_the_router():
    with seeded(0, "experts"):
        experts = Experts(OF)
    counted = torch.tensor([[True, True, False, False, False]] * 2)
    wide, narrow = Silent(counted), Silent()
    experts(states(), wide)
    experts(states()[:, :2], narrow)
    assert_close(wide.balance[0], narrow.balance[0])
    (experts(states(), wide).sum() + wide.balance[0]).backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in experts.router.parameters())
    nothing = Silent(torch.zeros(2, 5, dtype=torch.bool))
    experts(states(), nothing)
    assert nothing.balance[0] == 0


def test_every_nth_layer_has_experts_and_says_whom_it_chose():
    of = TransformerConfig(dim=16, decoder_layers=4, vocabulary=5, routing=RoutingConfig(experts=4, every=2, router="dot"))
    body = made(of)
    kinds = [type(block.sublayers["feed"].inside) for block in body.stack.blocks]
    assert kinds == [FeedForward, Experts, FeedForward, Experts]
    found = body(some_inputs(of))
    assert [chosen.shape for chosen in found.chosen] == [(3, 7, 1)] * 2
    assert 0.5 < float(found.balance.detach()) < 4
    assert math.isfinite(float(found.balance.detach()))
