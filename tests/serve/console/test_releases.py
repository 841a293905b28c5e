import json
from types import SimpleNamespace

import pytest

from headrace.flywheel.generations import Generation, Move
from headrace.serve.api.experiments import OneArm, OneExperiment
from headrace.serve.console.releases import release, timeline
from tests.serve.console.conftest import DECISIONS
from tests.serve.console.hostile import SCRIPT
from tests.serve.console.markup import check_harmless


def seen(client, address="/console/releases"):
    answer = client.get(address)
    assert answer.status_code == 200
    return check_harmless(answer.text)


def test_why_a_release_was_blocked(ledgered):
    found = seen(ledgered).text
    assert "blocked by calibration" in found
    for name, one in DECISIONS.items():
        assert f"{name}{' (required)' if name != 'calibration' else ''}" in found
        assert one["reason"] in found
    for figure in ("0.312", "0.050", "0.012", "-0.010"):
        assert figure in found
    assert "calibration (required)" not in found
    assert "It is the child of generation 1" in found
    assert found.index("Generation 3") < found.index("Generation 2") < found.index("Generation 1")


def test_moves_the_last_first_with_their_reasons(ledgered):
    page = seen(ledgered)
    table = page.text.split("Promotions and rollbacks")[-1].split("Generations and their gates")[0]
    assert "by a guardrail" in table
    assert "guardrail errors: 7.0% of 300 answers failed" in table
    assert f"the first {SCRIPT}" in table
    assert page.text.count("7.0% of 300 answers") >= 2  # also at the generation it left


def test_what_was_live_when(ledgered):
    page = ledgered.get("/console/releases").text
    spec = json.loads(page.split('<script type="application/json">')[1].split("</script>")[0])
    rows = spec["data"]["values"]
    assert [(row["live"], row["move"]) for row in rows] == [(1, "promote"), (3, "promote"), (1, "guardrail")]
    assert timeline([Move("promote", 1, "2026-01-01T00:00:00+00:00", "")]) is None


def test_a_build_without_a_ledger(client):
    found = seen(client).text
    for said in ("This run has no ledger", "Nothing was ever promoted", "No experiment runs"):
        assert said in found


@pytest.mark.parametrize("page", ["0", "-1", "x", "٣", "9" * 30, "7"])
def test_a_page_there_is_not(ledgered, page):
    assert "Generation 3" in seen(ledgered, f"/console/releases?page={page}").text


def test_pages_of_many(ledgered, monkeypatch):
    ledger = ledgered.app.state.serving.live.ledger
    many = [Generation(n, f"{n:032d}", n - 1, "2026-01-01T00:00:00+00:00") for n in range(1, 46)]
    monkeypatch.setattr(ledger, "all", lambda: many)
    assert "Generation 45" in seen(ledgered).text
    last = seen(ledgered, "/console/releases?page=3")
    assert "Part 3 of 3" in last.text
    assert "Generation 5" in last.text
    assert "Generation 6" not in last.text
    assert "/console/releases?page=2" in {one["href"] for one in last.all("a")}


def test_a_ledger_that_cannot_be_read_is_said(ledgered, monkeypatch):
    ledger = ledgered.app.state.serving.live.ledger
    monkeypatch.setattr(ledger, "run", ledger.run / "broken")
    ledger.run.mkdir(exist_ok=True)
    (ledger.run / "live.json").write_text("<half")
    assert "not a ledger of promotions" in seen(ledgered).text


def test_an_experiment_and_its_arms(ledgered, monkeypatch):
    arms = [
        OneArm(name=f"old {SCRIPT}", control=True, share=0.5, generation=1, key="a" * 32, answers=11, units=1234),
        OneArm(name="new", control=False, share=0.5, generation=2, key="b" * 32, answers=12, units=7),
    ]
    told = OneExperiment(
        experiment=f"two {SCRIPT}", unit_kind="user", digest="d", started_at="2026-01-01T00:00:00+00:00", planned=500,
        span=(0.0, 1.0), exposures="served/exposures", arms=arms,
    )  # fmt: skip
    live = ledgered.app.state.serving.live
    monkeypatch.setattr(live, "arms", SimpleNamespace(plan=SimpleNamespace(arms=[SimpleNamespace(generation=2)])))
    monkeypatch.setattr("headrace.serve.console.releases.experiment_told", lambda *_: told)
    found = seen(ledgered).text
    for said in (f"two {SCRIPT}", f"old {SCRIPT} (control)", "1,234", "500 units", "0.500"):
        assert said in found


def test_a_verdict_of_no_gate():
    made = release(Generation(1, "k", 0, "2026-01-01T00:00:00+00:00", {}, {"says": "made from <b>"}), "closed", "")
    assert (made.says, made.decided) == ("made from <b>", [])
