"""The toolkit's contract, switch by switch; then the recipe on a made-up corpus."""

from dataclasses import fields, replace
from math import log
from typing import Any, Literal, get_args, get_origin, get_type_hints

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from headrace.nn.body.config import AdapterConfig, PatternConfig, RoutingConfig, TransformerConfig
from headrace.recipes import torchscale
from headrace.recipes.language import open_text
from headrace.recipes.protocol import reproduce
from headrace.recipes.reporting import text
from headrace.recipes.torchscale import ARMS, ThinConfig, run, work
from headrace.testing import check_transformer
from headrace.testing.transformer import made, read, some_inputs, taken
from headrace.train.step import NotFinite

V = 19
SMALL = ThinConfig(tokens=2 * 4 * 16, rows=4, length=16, dim=8, layers=2, heads=1, held_out=5)
BOTH: dict[str, Any] = {"encoder_layers": 1, "decoder_layers": 1}
LONG: dict[str, Any] = {"rotary_share": 0.5, "length": 4, "longest": 32, "short_factors": (1.0,) * 4, "long_factors": (2.0,) * 4}
SWITCHED: dict[str, dict[str, Any]] = {
    "plain": {},
    "magneto, xpos": {"norm_place": "sub", "init": "magneto", "position": "xpos", "decay": 64.0, "activation": "swiglu",
                      "norm": "rms", "norm_eps": 1e-6, "bias": "none", "kv_heads": 1},
    "deepnorm, t5, experts": {"norm_place": "post", "init": "deepnorm", "position": "t5", "buckets": 8, "furthest": 16,
                              "activation": "relu", "routing": RoutingConfig(experts=4, top_k=2, router="dot", every=2)},
    "sphere": {"routing": RoutingConfig(experts=4, width=6, gate="sigmoid", temperature=0.1), "tie": False},
    "encoder": {"encoder_layers": 2, "decoder_layers": 0, "norm_place": "post", "init": "bert", "position": "learned",
                "bias": "feed_forward"},
    "interleaved": {**BOTH, "cross": "interleaved", "position": "gated", "activation": "geglu", "hidden": 80},
    "across": {**BOTH, "cross": "standard", "position": "sinusoidal", "position_base": 500.0, "init": "fan_in"},
    "window": {"window": 3, "dense_layers": (1,), "position": "none"},
    "pattern, long rope": {"pattern": PatternConfig(block=2, local=1, stride=2), **LONG},
    "alike": {"heads": 4, "pattern": PatternConfig(block=3, local=2, stride=4, alike=True), "dense_layers": (0,)},
    "branches, exits, side": {"branches": 2, "exits": (1,), "detach_exits": True, "side": (("kind", 3),), "dropout": 0.01},
    "adapters": {"adapters": (AdapterConfig(name="a", rank=4, alpha=8.0), AdapterConfig(name="b", kind="bottleneck"))},
}  # fmt: skip


def body_of(switches) -> TransformerConfig:
    return TransformerConfig(**{"dim": 32, "decoder_layers": 2, "heads": 2, "vocabulary": V, **switches})


def parts(of) -> list[Any]:
    return [of, of.routing, *of.adapters, *([of.pattern] if of.pattern else [])]


def test_each_value_of_each_switch_is_looked_at():
    """Also of a switch that does not exist yet: it needs a case above."""
    seen = [part for switches in SWITCHED.values() for part in parts(body_of(switches))]
    for kind in (TransformerConfig, RoutingConfig, AdapterConfig, PatternConfig):
        hints, mine = get_type_hints(kind), [part for part in seen if type(part) is kind]
        for field in fields(kind):
            found = {getattr(part, field.name) for part in mine}
            if get_origin(hints[field.name]) is Literal:
                assert found == set(get_args(hints[field.name])), field.name
            assert len(found) > 1 or field.name in {"dim", "heads", "vocabulary"}, f"{field.name} is always {found}"


@pytest.mark.parametrize("switches", SWITCHED.values(), ids=SWITCHED)
def test_each_switch_decodes_as_the_whole_pass_and_learns_eight_rows_by_heart(switches):
    of = body_of(switches)
    check_transformer(of)
    assert learned(made(of).train(), of) < 0.05


def learned(body, of, steps=100):
    """The loss at the end, with what stands at exits learning too where they cut the gradient."""
    whole = some_inputs(of, rows=8, length=9)
    ids = torch.as_tensor(whole.ids)
    ids[:, 0] = torch.arange(8)  # else the first target could not be told
    inputs, targets = taken(whole, tokens=slice(8)), ids[:, 1:].flatten()
    optimizer = torch.optim.Adam(body.parameters())
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for step in range(steps):
            optimizer.param_groups[0]["lr"] = 0.015 * (1 - step / steps)  # routing is restless until it falls
            found = read(body, inputs, inputs)
            shown = [found.last, *(found.exits.values() if of.detach_exits else ())]
            losses = [cross_entropy(body.logits(hidden).flatten(0, 1), targets) for hidden in shown]
            optimizer.zero_grad()
            (torch.stack(losses).sum() + 0.01 * found.balance).backward()
            optimizer.step()
    return float(losses[0].detach())


def test_arms_differ_in_their_switches_alone():
    bodies = [ThinConfig().body(own) for own in ARMS.values()]
    assert len({(of.norm_place, of.init) for of in bodies}) == len(ARMS)
    assert len({replace(of, norm_place="pre", init="xavier") for of in bodies}) == 1
    assert bodies[0].decoder_layers == 48
    of = work("cpu")
    assert len({tuple(trial["rate"] for trial in arm.trials) for arm in of.arms.values()}) == 1, "equal trials"


def test_a_run_that_diverged_knows_nothing(tmp_path, monkeypatch):
    read, own = open_text(SMALL.text, tmp_path), {**ARMS["post"], "rate": 1e-3}
    rows = run(read, SMALL, own, 0)
    assert 1.0 < rows["loss"].mean() < log(read.tokenizer.size) + 0.5
    assert rows["loss"].shape == rows["valid"].shape == (5,)

    def diverged(*_args, **_kwargs):
        raise NotFinite("next_token became nan")

    monkeypatch.setattr(torchscale, "fitted", diverged)
    found = run(read, SMALL, own, 0)
    assert np.allclose(found["loss"], log(read.tokenizer.size))
    assert found["loss"].shape == rows["loss"].shape
    assert not np.isfinite(found["valid"]).any(), "so it is not chosen"


def test_smoke_reports_every_claim(tmp_path):
    report = reproduce("torchscale", "smoke", tmp_path)
    assert {arm.arm for arm in report.arms} == set(ARMS)
    assert [one.claim.better for one in report.claims] == ["sub"]
    assert all(0 < arm.value < 7 and arm.n == 20 for arm in report.arms)
    assert report.claim.says in text(report)
