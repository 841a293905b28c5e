import math

import pytest
import torch
from torch.nn.functional import cross_entropy
from torch.testing import assert_close

from headrace.contracts.seams import Services
from headrace.nn.body.call import Inputs
from headrace.nn.body.config import RoutingConfig, TransformerConfig
from headrace.objectives.tokens import PredictedTokens
from headrace.testing import check_objective
from headrace.testing.transformer import made

V = 11
OF = TransformerConfig(dim=16, decoder_layers=1, heads=2, vocabulary=V)


def batch(hidden=False, documents=False):
    draw = torch.Generator().manual_seed(0)
    ids = torch.randint(V, (3, 6), generator=draw)
    found = {"ids": ids[:, :-1], "targets": ids[:, 1:].clone()}
    if hidden:
        found["targets"][torch.rand(3, 5, generator=draw) < 0.5] = -1
    if documents:
        found["documents"] = torch.tensor([[0, 0, 0, 1, 1]]).repeat(3, 1)
    return found


def losses(model, of, **more):
    return PredictedTokens(**more)(model, of, Services({}, torch.Generator()))


@pytest.mark.parametrize(
    "of", [OF, TransformerConfig(dim=16, encoder_layers=1, heads=2, vocabulary=V), TransformerConfig(
        dim=16, decoder_layers=1, heads=2, vocabulary=V, routing=RoutingConfig(experts=4))],
    ids=["decoder", "encoder", "experts"],
)  # fmt: skip
def test_contract(of):
    experts = of.routing.experts > 0
    for hidden in (False, True):
        check_objective(PredictedTokens(balance=experts), made(of), batch(hidden))
    with torch.no_grad():
        assert set(losses(made(of), batch(), balance=experts)) == {"next_token"} | ({"balance"} if experts else set())


@torch.no_grad()
def test_it_is_the_mean_over_positions_with_a_target():
    model, given = made(OF), batch(hidden=True)
    found = losses(model, given)["next_token"]
    there = given["targets"] >= 0
    logits = model.logits(model(Inputs(ids=given["ids"])).last)
    assert_close(found.mean, cross_entropy(logits[there], given["targets"][there]))
    assert found.count == int(there.sum()) < there.numel()
    assert abs(float(found.mean) - math.log(V)) < 0.25, "a new body knows nothing"


@torch.no_grad()
def test_token_0_is_a_token():
    given = batch()
    given["targets"] = torch.zeros_like(given["targets"])
    assert losses(made(OF), given)["next_token"].count == 15


@torch.no_grad()
def test_documents_are_kept_apart():
    """What stands in the first document has no say in the second's loss."""
    model, given = made(OF), batch(documents=True)
    given["targets"][:, :3] = -1
    changed = {**given, "ids": torch.cat([(given["ids"][:, :3] + 1) % V, given["ids"][:, 3:]], 1)}
    assert_close(losses(model, changed)["next_token"].mean, losses(model, given)["next_token"].mean)
    del given["documents"], changed["documents"]
    assert abs(losses(model, changed)["next_token"].mean - losses(model, given)["next_token"].mean) > 1e-3


def test_nothing_to_predict_costs_nothing():
    model, given = made(OF), batch()
    given["targets"] = torch.full_like(given["targets"], -1)
    found = losses(model, given)["next_token"]
    assert (float(found.mean.detach()), found.count) == (0.0, 0.0)
    assert all(not g.any() for g in torch.autograd.grad(found.mean, list(model.parameters()), allow_unused=True) if g is not None)
