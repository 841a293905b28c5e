import numpy as np
import pytest

from headrace.contracts.training import ParallelConfig
from headrace.recipes import mt_nlg
from headrace.recipes.mt_nlg import ARMS, CLAIM, FURTHER, Fresh, ParallelRunConfig, gaps, idle_share, said, tokens_until
from headrace.recipes.protocol import reproduce
from headrace.train.parallel.pipeline import Span

SMALL = ParallelRunConfig(words=24, length=8, rows=2, micro=4, early=2)


def test_every_row_is_read_once():
    rows = said(SMALL, 24, 16, 0)
    batches = [batch for number in range(2) for batch in Fresh(rows, SMALL).epoch(number)]
    assert [batch["ids"].shape for batch in batches] == [(2, 8)] * 8
    assert np.array_equal(np.concatenate([batch["ids"] for batch in batches]), rows[:, :-1])
    assert np.array_equal(np.concatenate([batch["targets"] for batch in batches]), rows[:, 1:])
    assert rows.min() == 0
    assert rows.max() < 24


def test_keys_biases_stand_by_themselves():
    its = {"qkv.ways.0.bias": np.zeros(6), "out.weight": np.zeros((2, 2))}
    mine = {"qkv.ways.0.bias": np.array([0, 0, 5, -7, 0, 1.0]), "out.weight": np.full((2, 2), 2.0)}
    assert gaps(mine, its, 2) == (2.0, 7.0)


def test_idle_share_is_of_the_first_replica_without_the_first_step():
    """Tensor 2 x pipeline 2: stage 0 is processes 0 and 1. Forward and backward 1 each: half of the time one stage waits."""
    step = [Span("forward", 0, 1.0, 0, 0), Span("backward", 0, 1.0, 0, 0)]
    odd = [Span("forward", 0, 9.0, 0, 0)]
    processes = [[odd, step, step], [odd, odd, odd], [odd, step, step], [odd, odd, odd]]
    assert idle_share(processes, ParallelConfig(tensor=2, pipeline=2)) == pytest.approx(0.5)


def test_tokens_are_counted_until_the_early_loss(monkeypatch):
    curves = {False: [5.0, 4.0, 3.0, 2.0], True: [3.9, 3.8, 3.7, 3.6]}
    monkeypatch.setattr(mt_nlg, "held_out", lambda settings, seed, ramp: curves[ramp])
    assert tokens_until(SMALL, 0, ramp=False) == 2 * 4 * 2 * 8
    assert tokens_until(SMALL, 0, ramp=True) == 1 * 4 * 2 * 8


def test_claims_are_about_arms_and_figures_there_are():
    metrics = mt_nlg.work("cpu").metrics
    for claim in (CLAIM, *FURTHER):
        assert {claim.better, claim.than} <= set(ARMS)
        assert claim.metric in metrics


def test_smoke_reports_every_claim(tmp_path):
    report = reproduce("mt_nlg", "smoke", tmp_path)
    assert report.verdict == "met"
    assert [one.claim.metric for one in report.claims] == ["weight_gap", "idle_2", "idle_4", "idle_8", "tokens"]
    by_arm = {(arm.arm, arm.metric): arm.value for arm in report.arms}
    assert by_arm["one", "loss_gap"] == by_arm["one", "idle_2"] == 0.0
    assert by_arm["ramp", "loss_gap"] < 10
