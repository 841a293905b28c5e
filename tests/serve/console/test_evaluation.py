import json
import math
from dataclasses import replace

import numpy as np
import pytest

from headrace.cascade.evaluation import evaluate_cascade
from headrace.evaluate.charts import Reliability
from headrace.evaluate.rows import Row
from headrace.serve.console import evaluation_charts
from headrace.serve.console.charts import chart
from headrace.serve.console.evaluated import Beside, beside, slices, tables
from headrace.serve.console.evaluation import calibration_drawn, chosen
from headrace.serve.live.known import Known
from tests.serve.console.hostile import SCRIPT
from tests.serve.console.markup import check_harmless

ROW = Row("rank", "dcnv2", "global temporal", "all", "ndcg@10", 0.3, 0.25, 0.35, 40)
KNOWN = [Known(1, "a" * 32, "live"), Known(2, "b" * 32, "closed")]


def asked(client, **values):
    answer = client.get("/console/evaluation", params=values)
    assert answer.status_code == 200
    return check_harmless(answer.text)


def test_every_row_of_the_report_can_be_reached(client, hostile_run):
    report = json.loads((hostile_run / "report.json").read_text())["rows"]
    assert len(report) > 20
    first = asked(client)
    parts = [one["value"] for one in first.all("option") if "value" in one][1:]
    assert set(parts) == {row["slice"] for row in report}
    for part in parts:
        found = asked(client, slice=part).text
        for row in report:
            if row["slice"] == part:
                assert f"{row['value']:.3f}" in found
                assert row["method"] in found


def test_charts_hold_the_intervals_of_the_report(client):
    measured = evaluate_cascade(client.app.state.serving.service.pipeline)
    page = client.get("/console/evaluation", params={"metric": "recall@5"}).text
    specs = [json.loads(part.split("</script>")[0]) for part in page.split('<script type="application/json">')[1:]]
    drawn = {(row["method"], row["value"], row["lo"], row["hi"]) for one in specs for row in one["data"]["values"] if "lo" in row}
    wanted = [row for row in measured.rows if row.metric == "recall@5"]
    assert wanted
    for row in wanted:
        assert (row.method, round(row.value, 6), *(None if math.isnan(e) else round(e, 6) for e in (row.lo, row.hi))) in drawn


def test_two_generations_side_by_side(ledgered):
    found = asked(ledgered, generation="2", against="1")
    assert "Generation 2 beside generation 1" in found.text
    table = found.text.split("difference [95%]", 1)[1].split("By method", 1)[0]
    assert table.count("not told apart") > 5
    assert "better" not in table  # they are one artifact
    assert "+0.000 [-" in table


def test_what_was_not_measured_is_said(ledgered):
    assert "Nothing was measured of generation 3" in asked(ledgered, generation="3").text
    assert "Nothing was measured of generation 3, so" in asked(ledgered, generation="1", against="3").text


@pytest.mark.parametrize("values", [{"generation": SCRIPT}, {"against": SCRIPT}, {"metric": SCRIPT, "slice": SCRIPT}])
def test_what_there_is_not(client, values):
    found = asked(client, **values)
    assert ("There is no generation" in found.text) == ("metric" not in values)
    assert "Every figure, all" in found.text


def test_the_one_that_answers_is_shown_and_never_beside_itself():
    assert chosen(KNOWN, 1, "", "").this.number == 1
    assert chosen(KNOWN, 1, "2", "2").against is None
    choice = chosen(KNOWN, 1, "2", "1")
    assert (choice.this.number, choice.against and choice.against.number, choice.trouble) == (2, 1, [])


@pytest.mark.parametrize(
    ("metric", "other", "apart", "better"),
    [
        ("ndcg@10", (0.2, 0.15, 0.24), True, 1),
        ("ndcg@10", (0.4, 0.36, 0.45), True, -1),
        ("log_loss", (0.4, 0.36, 0.45), True, 1),
        ("novelty@10", (0.4, 0.36, 0.45), True, 0),
        ("ndcg@10", (0.36, 0.31, 0.41), False, 0),
        ("ndcg@10", (0.4, math.nan, math.nan), False, 0),
    ],
)
def test_apart_is_said_where_the_interval_leaves_out_no_difference(metric, other, apart, better):
    value, lo, hi = other
    one = beside([replace(ROW, metric=metric)], [replace(ROW, metric=metric, value=value, lo=lo, hi=hi)])[0]
    assert (one.apart, one.better) == (apart, better)
    assert one.change == pytest.approx(0.3 - value)


def test_the_interval_of_a_difference_is_that_of_two_independent_means():
    """Of two intervals of 1.96 standard errors it is 1.96 times the error of the difference; drawn, it covers as it says."""
    one = Beside(ROW, replace(ROW, value=0.2, lo=0.08, hi=0.32))
    assert (one.lo, one.hi) == pytest.approx((0.1 - 0.13, 0.1 + 0.13))
    rng, covered = np.random.default_rng(0), 0
    for _ in range(2000):
        means = [rng.normal(size=40) + true for true in (0.3, 0.0)]
        rows = []
        for values in means:
            half = 1.96 * values.std(ddof=1) / math.sqrt(len(values))
            rows.append(replace(ROW, value=values.mean(), lo=values.mean() - half, hi=values.mean() + half))
        pair = Beside(*rows)
        covered += pair.lo <= 0.3 <= pair.hi
    assert 0.93 < covered / 2000 < 0.965


def test_a_figure_stands_once_however_many_baselines_it_has():
    again = replace(ROW, baseline="itemknn", diff=0.1, diff_lo=0.0, diff_hi=0.2, p=0.01)
    elsewhere = replace(ROW, slice="cold users")
    assert len(beside([ROW, again, elsewhere], [ROW])) == 1
    assert slices([elsewhere, ROW]) == ["all", "cold users"]
    assert [name for name, _ in tables([ROW, replace(ROW, split="leave last")])] == ["rank, global temporal", "rank, leave last"]
    assert len(evaluation_charts.of_methods([ROW, again])["data"]["values"]) == 1


def test_calibration_is_drawn_of_curves_that_hold_something(client):
    measured = evaluate_cascade(client.app.state.serving.service.pipeline)
    assert calibration_drawn(replace(measured, curves=[Reliability("a", [], [], [])])) is None
    curve = Reliability(f"dcnv2 {SCRIPT}", [0.1, 0.4], [0.2, 0.3], [10, 12])
    html = str(calibration_drawn(replace(measured, curves=[curve])))
    check_harmless(html)
    assert "<td>0.4</td><td>0.3</td><td>12</td>" in html


def test_an_interval_nobody_knows_is_a_dash():
    html = str(chart(evaluation_charts.of_methods([replace(ROW, lo=math.nan, hi=math.nan)]), "one"))
    assert "<td>-</td><td>-</td>" in html
