import pytest

from headrace.cascade.evaluation import evaluate_cascade
from headrace.contracts.errors import ArtifactError
from headrace.serve.console import funnel
from tests.serve.console.markup import read


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


def test_a_generation_that_was_not_measured(client, monkeypatch):
    def none(_):
        raise ArtifactError("evaluation is not there")

    monkeypatch.setattr(funnel, "evaluate_cascade", none)
    assert "Nothing was measured" in client.get("/console/funnel").text
