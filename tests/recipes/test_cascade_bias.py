import numpy as np
import pytest

from headrace.contracts.config import as_dict
from headrace.recipes.cascade_bias import SETTINGS, quadratic, run
from headrace.recipes.protocol import reproduce
from headrace.recipes.reporting import read_report

MAIN = as_dict(SETTINGS["two stages"])


@pytest.mark.parametrize(
    ("arm", "considered", "within"), [("impressions", 2.02, 0.1), ("joint", 1.01, 0.1), ("unshown_negative", 0.22, 0.02)]
)
def test_the_golden_calibration_on_what_was_considered(arm, considered, within):
    found = [run(MAIN, {"arm": arm}, seed)["CR, considered"][0] for seed in range(3)]
    assert np.mean(found) == pytest.approx(considered, abs=within)


def test_shown_rows_alone_mislead_most_about_the_pool():
    found = run(MAIN, {"arm": "impressions"}, 0)
    assert found["CR, pool"][0] == pytest.approx(3.76, abs=0.7)  # ±.32 is the spread of one seed
    assert found["NE, considered"][0] == pytest.approx(1.136, abs=0.02)


def test_quadratic_features():
    assert quadratic(np.array([2.0]), np.array([3.0])).tolist() == [[1, 2, 3, 4, 6, 9]]


def test_smoke_reports_every_claim_with_its_verdict(tmp_path):
    report = reproduce("cascade_bias", "smoke", tmp_path)
    assert [one.claim.metric for one in report.claims] == ["NE, considered", "NE, shown", "miscalibration, considered"]
    for one in report.claims:
        assert one.verdict == one.claim.verdict(one.difference.lo, one.difference.hi)
    assert read_report(report.write(tmp_path)) == report
