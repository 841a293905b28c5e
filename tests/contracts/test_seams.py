import subprocess
import sys

import pytest

from headrace.contracts.seams import Decision


@pytest.mark.parametrize(("status", "promotes"), [("passed", True), ("blocked", False), ("no_evidence", False)])
def test_only_a_gate_that_passed_promotes(status, promotes):
    assert Decision(status, 0.0, 0.0, "").promotes is promotes


def test_contracts_cost_no_torch():
    code = (
        "import sys, headrace.contracts.seams, headrace.contracts.batch, headrace.contracts.lists, headrace.contracts.tables;"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
