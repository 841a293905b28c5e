"""A judge that people did not bear out decides nothing: it can't let a release through, and it can't stop one."""

import re
from dataclasses import replace

import pytest

from headrace.contracts.errors import DataError
from headrace.contracts.seams import Gate
from headrace.evaluate.agreement import Agreement, Figure
from headrace.flywheel.gates.judge_bar import Guarded, JudgeBar
from headrace.flywheel.gates.panel import Panel
from headrace.flywheel.gates.win_rate import WinRate, WinRateBand
from headrace.testing.gate import check_gate

GOOD = Agreement("j", ("r",), 300, 0.01, {"kappa": Figure(0.62, 0.55, 0.7), "dsat_precision": Figure(0.88, 0.82, 0.93)})


def figures(**changed: Figure) -> Agreement:
    return replace(GOOD, figures={**GOOD.figures, **changed})


def decided(found: Agreement | None, **settings):
    return JudgeBar(**settings).decide("new", "old", {} if found is None else {"judges": {"j": found}})


def test_a_judge_over_the_bar_passes():
    decision = decided(GOOD)
    assert (decision.status, decision.observed, decision.threshold) == ("passed", 0.62, 0.5)
    assert "kappa 0.620 [0.550, 0.700]" in decision.reason


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (None, "no judge was compared with people"),
        (
            figures(kappa=Figure(0.62, 0.49, 0.7)),
            r"kappa 0\.620 \[0\.490, 0\.700\] over 300 .* below 0\.5; it may not gate anything",
        ),
        (figures(dsat_precision=Figure(0.85, 0.79, 0.9)), r"dsat_precision .* below 0\.8"),
        (figures(kappa=Figure(0.1, 0.05, 0.2)), r"below 0\.5"),
        (figures(dsat_precision=Figure(float("nan"), float("nan"), float("nan"))), "dsat_precision nan"),
        (replace(GOOD, n=99), "99 conversations labelled by people, fewer than 100"),
        (replace(GOOD, unparsed=0.03), r"3\.0% of answers unparsed, limit 2\.0%"),
    ],
)
def test_below_it_there_is_no_evidence_and_the_reason_is_given(found, says):
    decision = decided(found)
    assert (decision.status, decision.promotes) == ("no_evidence", False)

    assert re.search(says, decision.reason)


def test_the_bar_can_be_set():
    assert decided(figures(kappa=Figure(0.62, 0.49, 0.7)), kappa=0.4).status == "passed"


def test_every_judge_that_was_asked_must_pass():
    other = figures(kappa=Figure(0.3, 0.2, 0.4))
    assert JudgeBar().decide("new", "old", {"judges": {"j": GOOD, "k": other}}).status == "no_evidence"
    rates = {"j/user": WinRate(60, 0, 40), "org/k/user": WinRate(60, 0, 40)}
    decision = JudgeBar().decide("new", "old", {"judges": {"j": GOOD}, "win_rates": rates})
    assert (decision.status, decision.reason) == ("no_evidence", "judge org/k was never compared with people")
    with pytest.raises(DataError, match="judges.j"):
        JudgeBar().decide("new", "old", {"judges": {"j": 0.7}})


def test_a_guarded_gate_keeps_its_own_promise_with_a_judge_that_passed():
    gate = Guarded(WinRateBand(), JudgeBar())
    assert isinstance(gate, Gate)
    rates = {"passing": WinRate(60, 0, 40), "blocking": WinRate(30, 0, 70)}
    check_gate(gate, **{name: {"judges": {"j": GOOD}, "win_rates": {"j/user": rate}} for name, rate in rates.items()})


@pytest.mark.parametrize("rate", [WinRate(60, 0, 40), WinRate(30, 0, 70), WinRate(90, 0, 10)])
def test_a_judge_below_the_bar_neither_promotes_nor_blocks(rate):
    low = {"judges": {"j": figures(kappa=Figure(0.2, 0.1, 0.3))}, "win_rates": {"j/user": rate}}
    assert Guarded(WinRateBand(), JudgeBar()).decide("new", "old", low).status == "no_evidence"


def test_a_panel_that_names_the_bar_guards_what_reads_judges():
    panel = Panel.of({"required": ["judge_bar", "win_rate"], "judge_bar": {"kappa": 0.6}}, "shop.toml")
    bad = {"judges": {"j": GOOD}, "win_rates": {"j/user": WinRate(30, 0, 70)}}
    verdict = panel.decide("new", "old", bad)  # 0.55 is below 0.6
    assert (verdict.blocked_by, verdict.held_by, verdict.promotes) == ([], ["judge_bar", "win_rate"], False)
    open_bar = Panel.of({"required": ["judge_bar", "win_rate"]}, "shop.toml")
    assert open_bar.decide("new", "old", bad).blocked_by == ["win_rate"]
    assert Panel.of({"required": ["win_rate"]}, "shop.toml").decide("new", "old", bad).blocked_by == ["win_rate"]
    assert panel.as_dict()["win_rate"]["bar"]["kappa"] == 0.6
