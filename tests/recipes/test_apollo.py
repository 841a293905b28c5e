from math import log

import pytest
import torch
from torch import nn

from headrace.contracts.training import TrainConfig
from headrace.optim.makers import maker_of
from headrace.recipes import apollo
from headrace.recipes.apollo import ApolloRunConfig, Momentum, MomentumConfig, run
from headrace.recipes.language import TextConfig, open_text
from headrace.recipes.protocol import reproduce

SMALL = apollo._SMOKE


def test_every_arm_has_as_many_trials():
    arms = apollo.work("cpu").arms
    assert {name: len(arm.trials) for name, arm in arms.items()} == dict.fromkeys(arms, 4)
    assert arms["apollo"].settings["optimizer_settings"] == {"rank": ApolloRunConfig().dim // 4}
    assert all(len({trial["rate"] for trial in arm.trials}) == 4 for arm in arms.values())


def test_momentum_is_a_maker_that_a_section_can_name():
    module = nn.Linear(2, 1)
    train = TrainConfig(optimizer="headrace.recipes.apollo:Momentum", learning_rate=0.5, optimizer_settings={"momentum": 0.8})
    (group,) = maker_of(train, "test")(module, train, seed=0).param_groups
    assert (group["lr"], group["momentum"], group["weight_decay"]) == (0.5, 0.8, 0.0)
    assert isinstance(Momentum(MomentumConfig())(module, train, seed=0), torch.optim.SGD)


def test_a_run_that_diverges_has_no_end_of_loss(tmp_path):
    text = open_text(TextConfig(), tmp_path)
    found = run(text, SMALL, {"optimizer": "headrace.recipes.apollo:Momentum", "rate": 1e30}, 0)
    assert set(found) == {"valid", *apollo._SHOWN}
    assert all(value == float("inf") for value in found.values())


def test_smoke_reports_every_claim_and_counts_bytes_by_the_formula(tmp_path):
    report = reproduce("apollo", "smoke", tmp_path)
    assert [one.claim.than for one in report.claims] == ["adamw", "sgd", "adamw", "adamw"]
    value = {(arm.arm, arm.metric): arm.value for arm in report.arms}
    assert all(value[arm, "loss"] < log(261) for arm in apollo.work("smoke").arms), "it has learned something"
    matrices = 2 * [(48, 16), (16, 16), (64, 16), (16, 64)]  # queries, keys and values in one; out; up; down
    counts = {
        "adamw": sum(4 * (2 * m * n + 1) for m, n in matrices),
        "apollo": sum(4 * (2 * max(m, n) * SMALL.rank + 1) + 8 for m, n in matrices),
        "apollo_mini": sum(4 * (2 * max(m, n) + 1) + 8 for m, n in matrices),
        "sgd": sum(4 * m * n for m, n in matrices),
    }
    for arm, wanted in counts.items():
        assert value[arm, "matrix_state_mib"] * 2**20 == pytest.approx(wanted)
        assert value[arm, "log_matrix_state"] == pytest.approx(log(wanted))
        assert value[arm, "state_mib"] > value[arm, "matrix_state_mib"]
