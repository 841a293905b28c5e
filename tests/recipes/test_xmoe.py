from dataclasses import replace
from math import log
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from headrace.data.token_rows import TokenRows
from headrace.evaluate.routing import collapse
from headrace.nn.body.call import Inputs
from headrace.nn.body.transformer import Transformer
from headrace.nn.seeded import seeded
from headrace.recipes import xmoe
from headrace.recipes.language import TextConfig, fitted, open_text
from headrace.recipes.protocol import reproduce
from headrace.recipes.xmoe import Look, XMoEConfig, hidden_rows, hiding, look, losses_of, moved, routing_figures

SMALL = xmoe._SMOKE


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    return open_text(TextConfig(), tmp_path_factory.mktemp("text"))


def body(text, router="sphere"):
    with seeded(0, "body"):
        return Transformer(replace(SMALL.body(router), vocabulary=text.tokenizer.size), "encoder").eval()


def test_one_layer_in_the_middle_has_experts_as_wide_as_the_other_feed_forwards():
    full = XMoEConfig()
    assert [full.body("dot").routed(layer) for layer in range(full.layers)] == [False, False, True, False]
    assert full.body("sphere").routing.width == full.experts // 2
    assert full.body("none").routing.experts == 0
    assert full.body("none").wide == full.body("sphere").wide == full.hidden
    assert full.tokens % (full.rows * full.length * full.parts) == 0, "no step is lost between the parts"


def test_all_arms_are_asked_for_the_same_hidden_tokens(text):
    first, again = (hidden_rows(text, text.test, SMALL, 30) for _ in range(2))
    assert all(first[name].equal(again[name]) for name in first)
    asked = first["targets"] >= 0
    assert asked.any(1).all()
    assert 0.1 < asked.float().mean() < 0.3
    assert (first["targets"][asked] >= text.tokenizer.reserved).all()
    assert not first["ids"].equal(hidden_rows(text, text.valid, SMALL, 30)["ids"])


def test_a_row_loses_the_mean_over_its_hidden_tokens(text):
    one, batch = body(text), hidden_rows(text, text.test, SMALL, 10)
    with torch.no_grad():
        logits = one.logits(one(Inputs(ids=batch["ids"])).last)
    losses = losses_of(one, batch, at_once=3)
    for row, (said, targets) in enumerate(zip(logits, batch["targets"], strict=True)):
        there = targets >= 0
        assert losses[row] == pytest.approx(float(cross_entropy(said[there], targets[there])), rel=1e-5)


def test_a_look_sees_whom_each_token_chose_and_what_the_router_was_given(text):
    one, ids = body(text), hidden_rows(text, text.valid, SMALL, 10)["ids"]
    given = []
    with torch.no_grad():
        (found,) = look(one, ids)
        layer = one.stack.blocks[1].sublayers["feed"].inside
        layer.router.register_forward_pre_hook(lambda _, inputs: given.append(inputs[0]))
        chosen = one(Inputs(ids=ids)).chosen[0]
    assert np.array_equal(found.chosen, chosen.numpy())
    assert found.collapse == pytest.approx(collapse(given[0].double().numpy(), chosen.numpy().ravel()))
    assert look(body(text, "none"), ids) == []
    assert not layer._forward_pre_hooks, "it leaves nothing behind"


def test_figures_of_known_looks():
    chosen = [np.full((2, 4, 1), 0)] * 3 + [np.array([[[1], [0], [0], [0]], [[0]] * 4])]
    looks = [Look(one, float(2 + number)) for number, one in enumerate(chosen)]
    assert moved(looks, 2).tolist() == [(0 + 1 / 4) / 2, 0.0]  # of the second and third step
    found = routing_figures(looks, 80)
    assert found["log_fluctuation"] == pytest.approx(log(1 / 16))
    assert found["collapse_trend"] == pytest.approx(log(5 / 2))
    assert found["collapse"] == 5.0
    assert 1 < found["experts"] < 2
    assert routing_figures([], 8) == {"log_fluctuation": log(1 / 8), "collapse": 0.0, "collapse_trend": 0.0, "experts": 1.0}


def test_looking_at_a_run_does_not_change_it(text):
    looked = []
    same: dict[str, Any] = {"rate": 1e-2, "tokens": 384, "rows": 4, "length": 16, "seed": 0, "side": "encoder", "balance": 0.01}
    rows = hiding(text, SMALL, TokenRows(text.train, length=16, batch_size=4, seed=0), 0)
    watched = fitted(text, SMALL.body("sphere"), batches=rows, parts=3, watch=lambda body: looked.append(body.training), **same)
    alone = fitted(text, SMALL.body("sphere"), batches=rows, **same)
    assert looked == [False] * 3
    assert all(one.equal(other) for one, other in zip(watched.parameters(), alone.parameters(), strict=True))


def test_smoke_reports_every_claim(tmp_path):
    report = reproduce("xmoe", "smoke", tmp_path)
    assert [one.claim.metric for one in report.claims] == ["log_fluctuation", "collapse_trend", "loss"]
    value = {(arm.arm, arm.metric): arm.value for arm in report.arms}
    assert all(value[arm, "loss"] < log(261) for arm in xmoe.ARMS), "it has learned something"
    assert value["dense", "fluctuation"] == value["dense", "collapse"] == 0.0
    assert value["dense", "parameters"] == value["dense", "active"]
    expert, dot, sphere = (2 * 16 * 16 + 32) / 1e6, 8 * 16 / 1e6, (8 * 4 + 4 * 16 + 1) / 1e6
    for arm, router in (("dot", dot), ("sphere", sphere)):
        assert value[arm, "active"] == pytest.approx(value["dense", "active"] + router)
        assert value[arm, "parameters"] == pytest.approx(value[arm, "active"] + 7 * expert)
        assert value[arm, "collapse"] > 0
        assert value[arm, "experts"] > 1
