from collections.abc import Sequence
from itertools import product

import pytest

from headrace.flywheel.experiment.decisions import TABLE, Standing, State, decide, guardrail_stands, primary_stands

PRIMARY: tuple[Standing, ...] = ("superior", "worse", "unclear")
GUARDRAIL: tuple[Standing, ...] = ("non-inferior", "inferior", "unclear")


def verdict(primaries: list[Standing], guardrails: Sequence[Standing] = (), ratio=True, ended=True):
    return decide(State(ratio, tuple(primaries), tuple(guardrails), ended)).then


@pytest.mark.parametrize(
    ("primaries", "guardrails", "then"),
    [
        (["superior"], ["non-inferior"], "ship"),
        (["superior", "unclear"], [], "ship"),
        (["superior"], ["non-inferior", "unclear"], "hold"),
        (["superior"], ["non-inferior", "inferior"], "stop"),
        (["unclear"], ["non-inferior"], "hold"),
        (["unclear"], ["inferior"], "stop"),
        (["worse", "unclear"], ["non-inferior"], "stop"),
        (["worse", "superior"], ["non-inferior"], "hold"),
    ],
)
def test_the_table(primaries, guardrails, then):
    for ended in (False, True):
        assert verdict(primaries, guardrails, ended=ended) == then
        assert verdict(primaries, guardrails, ratio=False, ended=ended) == "invalid"


def test_every_state_has_a_row_and_every_row_a_state():
    states = [
        State(ratio, primaries, guardrails, ended)
        for ratio, ended in product((True, False), repeat=2)
        for primaries in product(PRIMARY, repeat=2)
        for guardrails in product(GUARDRAIL, repeat=2)
    ]
    assert {decide(state) for state in states} == set(TABLE)
    for state in states:  # nothing ships that could do harm
        if decide(state).then == "ship":
            assert state.sample_ratio_holds
            assert set(state.guardrails) == {"non-inferior"}
            assert "worse" not in state.primaries


def test_standings():
    assert primary_stands(0.04, 0.1, 0.05) == "superior"
    assert primary_stands(0.04, -0.1, 0.05) == "worse"
    assert primary_stands(0.05, 0.1, 0.05) == "unclear"
    assert guardrail_stands(-0.009, 0.2, 0.01) == "non-inferior"
    assert guardrail_stands(-0.01, 0.2, 0.01) == "unclear"
    assert guardrail_stands(-0.3, -0.01, 0.01) == "inferior"
