import pytest

from headrace.cascade.evaluation import evaluate_cascade
from headrace.serve.console import funnel
from headrace.serve.console.evaluated import Evaluations
from tests.serve.console.markup import check_harmless, read


def test_it_says_what_the_build_measured(client):
    pipeline = client.app.state.serving.service.pipeline
    losses = evaluate_cascade(pipeline).losses
    page = read(client.get("/console/funnel").text)
    assert [stage for stage, _, _ in losses] == ["retrieve", "prerank", "rank", "page"]
    for stage, k, recall in losses:
        assert stage in page.text
        assert f"{recall:.3f}" in page.text
        assert str(k) in page.text


def test_what_is_held_and_lost_adds_up():
    steps = [funnel.Step("retrieve", 10, 0.9, 0.1), funnel.Step("page", 2, 0.4, 0.5)]
    rows = funnel.chart_of(steps)["data"]["values"]
    shares = {(row["stage"], row["part"]): row["share"] for row in rows}
    assert shares["retrieve", "still held"] + shares["retrieve", "lost here"] == pytest.approx(1)
    assert shares["page", "still held"] + shares["page", "lost here"] == pytest.approx(shares["retrieve", "still held"])


def test_two_generations_side_by_side(ledgered):
    found = check_harmless(ledgered.get("/console/funnel?generation=2&against=1").text)
    assert "Still held, of each" in found.text
    assert found.text.count("+0.000") == 4  # they are one artifact
    assert "Nothing was measured of generation 3, so" in read(ledgered.get("/console/funnel?against=3").text).text
    assert "There is no generation" in read(ledgered.get("/console/funnel?generation=x").text).text


def test_a_stage_that_the_other_has_not_is_left_out():
    rows = funnel.chart_of_two([funnel.Step("prerank", 5, 0.5, 0.1, None), funnel.Step("page", 2, 0.4, 0.1, 0.3)], ("a", "b"))
    assert [row["share"] for row in rows["data"]["values"]] == [0.5, 0.4, 0.3]


def test_a_generation_that_was_not_measured(client, monkeypatch):
    monkeypatch.setattr(Evaluations, "of", lambda *_: None)
    found = client.get("/console/funnel").text
    assert "Nothing was measured" in found
    assert "[fly] measured" in found
