from dataclasses import replace
from math import log
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from headrace.nn.body.call import Inputs
from headrace.nn.body.transformer import Transformer
from headrace.nn.seeded import seeded
from headrace.recipes import magneto
from headrace.recipes.language import TextConfig, open_text, rows_of
from headrace.recipes.magneto import ARMS, MagnetoConfig, over, run, update_sizes, work
from headrace.recipes.protocol import reproduce
from headrace.recipes.reporting import text as shown
from headrace.train.step import NotFinite

SMALL = MagnetoConfig(
    text=TextConfig(), tokens=2 * 4 * 8, rows=4, length=8, dim=8, layers=2, heads=1, rates=(4e-3, 8e-3), held_out=5
)


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    return open_text(TextConfig(), tmp_path_factory.mktemp("text"))


def of_seed(valid, slope=0.05):
    """Figures of runs at rates 1, 2, 4, .. with these validation losses."""
    tried: list[Any] = [{"depths": [2, 4]}, *({"rate": 2.0**number} for number in range(len(valid)))]
    slopes = {"update_slope": np.array([slope]), "adam_slope": np.array([0.7])}
    return over(tried, [slopes, *({"valid": np.array([one]), "loss": np.array([one + 1, one + 2])} for one in valid)])


@pytest.mark.parametrize(
    ("valid", "doublings", "best"),
    [
        ([3.0, 2.0, 2.03, 2.05], 2, 2.0),  # 2.03 is within 2% of the best, 2.05 is not
        ([3.0, 2.0, 2.05, 2.03], 3, 2.0),  # the largest, whatever lies below it
        ([2.0, 2.1, np.inf, np.inf], 0, 2.0),
        ([2.0, 2.0, 2.0, np.nan], 2, 2.0),
        ([np.inf] * 4, -1, np.inf),
    ],
)
def test_the_largest_stable_rate(valid, doublings, best):
    found = of_seed(valid)
    assert found["doublings"].tolist() == [doublings]
    assert found["loss"].tolist() == [best + 1, best + 2], "on test, at the rate chosen on validation"


def test_an_update_is_flat_up_to_a_slope_of_a_tenth():
    assert [of_seed([1.0], slope)["flat"].tolist() for slope in (-0.3, 0.1, 0.101)] == [[1.0], [1.0], [0.0]]
    assert of_seed([1.0])["adam_slope"].tolist() == [0.7]


def test_arms_are_the_two_switches_and_their_halves_at_the_same_rates():
    bodies = {name: MagnetoConfig().body(own) for name, own in ARMS.items()}
    assert len({replace(of, norm_place="pre", init="xavier") for of in bodies.values()}) == 1
    assert {(of.norm_place, of.init) for of in bodies.values()} >= {(p, i) for p in ("sub", "pre") for i in ("magneto", "xavier")}
    arms = work("cpu").arms
    assert len({str(arm.trials) for arm in arms.values()}) == 1
    steps = np.diff(np.log2(MagnetoConfig().rates))
    assert steps == pytest.approx(1.0), "the claim counts factors of 2"


@pytest.mark.parametrize("arm", ["magneto", "post"])
def test_the_update_is_that_of_the_optimizer_and_linear_in_its_step(text, arm, monkeypatch):
    settings, depth = MagnetoConfig(dim=8, heads=1, rows=3, length=6), 3
    found = update_sizes(text, settings, ARMS[arm], depth, 0)
    of = replace(settings.body(ARMS[arm]), decoder_layers=depth, vocabulary=text.tokenizer.size)
    ids = rows_of(text.train, 6, most=3, seed=0)
    inputs, targets = Inputs(ids=ids[:, :-1]), ids[:, 1:].flatten()
    makers: Any = (torch.optim.SGD, lambda moving, lr: torch.optim.Adam(moving, lr=lr, eps=0.0))
    for size, maker, step in zip(found, makers, (1e-3, 1e-5), strict=True):
        with seeded(0, "language model"):
            body = Transformer(of, "decoder").double()
        optimizer = maker(body.stack.blocks.parameters(), lr=step)
        before = body(inputs).last
        cross_entropy(body.logits(before).flatten(0, 1), targets).backward()
        optimizer.step()
        assert size == pytest.approx(float((body(inputs).last - before).detach().square().mean().sqrt()) / step, rel=1e-3)
    monkeypatch.setattr(magneto, "_STEPS", (3e-4, 3e-6))
    assert update_sizes(text, settings, ARMS[arm], depth, 0) == pytest.approx(found, rel=0.01)


def test_a_run_that_diverged_is_not_stable_and_knows_nothing(text, monkeypatch):
    own = {**ARMS["pre"], "rate": 4e-3}
    found = run(text, SMALL, own, 0)
    assert found["loss"].shape == found["valid"].shape == (5,)
    assert found["loss"].mean() < log(261) + 0.5

    def diverged(*_args, **_kwargs):
        raise NotFinite("next_token became nan")

    monkeypatch.setattr(magneto, "fitted", diverged)
    found = run(text, SMALL, own, 0)
    assert not np.isfinite(found["valid"]).any()
    assert np.allclose(found["loss"], log(261))


def test_smoke_reports_every_claim(tmp_path):
    report = reproduce("magneto", "smoke", tmp_path)
    assert [one.claim.metric for one in report.claims] == ["loss", "flat", "flat"]
    by_arm = {(arm.arm, arm.metric): arm for arm in report.arms}
    assert {arm for arm, _ in by_arm} == set(ARMS)
    assert all(by_arm[arm, "doublings"].value in (0.0, 0.5, 1.0) for arm in ARMS)
    assert all(0 < by_arm[arm, "loss"].value < 7 for arm in ARMS)
    assert by_arm["magneto", "loss"].n == 20
    assert by_arm["post", "update_slope"].value > by_arm["magneto", "update_slope"].value
    assert report.claim.says in shown(report)
