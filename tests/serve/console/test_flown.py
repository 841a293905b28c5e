"""Pages of a flywheel's run: each generation has its own figures, a drill has none, and every turn is told with its verdict."""

import json

import pytest
from fastapi.testclient import TestClient

from headrace.contracts.serving import ServeConfig
from headrace.flywheel.loop import cycles_of, fly
from headrace.serve.app import create_app
from headrace.serve.console.releases import leads, turns
from tests.flywheel.small import TOML
from tests.serve.console.markup import check_harmless


@pytest.fixture(scope="module")
def flown(tmp_path_factory):
    folder = tmp_path_factory.mktemp("flown")
    (folder / "shop.toml").write_text(TOML.replace("measured = false", "measured = true"))
    fly(folder / "shop.toml", folder / "run", generations=3, drills=[3])
    with TestClient(create_app(folder / "run", ServeConfig(runtime="torch", reload_s=60.0))) as client:
        yield client


def seen(client, address):
    answer = client.get(address)
    assert answer.status_code == 200
    return check_harmless(answer.text).text


def test_two_generations_have_their_own_figures_and_their_difference(flown):
    found = seen(flown, "/console/evaluation?generation=2&against=1")
    assert "Generation 2 beside generation 1" in found
    assert "difference in" in found
    assert found.count("[") > 20
    assert "Still held, of each" in seen(flown, "/console/funnel?generation=2&against=1")


def test_a_drill_was_not_measured(flown):
    assert "Nothing was measured of generation 3" in seen(flown, "/console/evaluation?generation=3")
    assert "Nothing was measured of generation 3" in seen(flown, "/console/funnel?generation=3")


def test_every_turn_with_what_it_led_by_and_what_became_of_it(flown):
    run = flown.app.state.serving.folder
    found = seen(flown, "/console/releases")
    for one in cycles_of(run):
        assert one.says in found
    spec = leads(turns(run))
    assert spec is not None
    rows = {row["generation"]: row for row in spec["data"]["values"]}
    assert {2, 3} == rows.keys()
    assert rows[3]["became"] == "drill"
    assert rows[2]["lo"] <= rows[2]["change"] <= rows[2]["hi"]
    assert json.dumps(spec, allow_nan=False)


def test_turns_of_another_version_are_none(tmp_path):
    (tmp_path / "cycles" / "0001").mkdir(parents=True)
    (tmp_path / "cycles" / "0001" / "result.json").write_text(json.dumps({"other": 1}))
    assert turns(tmp_path) == []
    assert leads([]) is None
