"""Arms that are generations: sticky by user, said in each answer, and read back by the experiment module from the served logs."""

import polars as pl
import pytest
from fastapi.testclient import TestClient

from headrace.contracts.errors import ConfigError
from headrace.flywheel.experiment.assignment import OUTSIDE, assign
from headrace.flywheel.experiment.exposures import exposed
from headrace.flywheel.experiment.plan import read_plan
from headrace.flywheel.experiment.reading import read_exposures
from headrace.flywheel.experiment.record import record_path, start, write
from headrace.serve.app import create_app
from headrace.serve.logs.forgetting import forget_served
from tests.serve.live.conftest import quick

PLAN = """
experiment = "ranker"
control = "current"
units = 100
span = [0.0, 0.8]

[[arms]]
name = "current"
generation = 1

[[arms]]
name = "new"
generation = 3

[[primary]]
name = "breadth"
kind = "breadth"
column = "views"
"""
USERS = [f"c{n}" for n in range(40)]


@pytest.fixture
def plan(tmp_path):
    path = tmp_path / "ranker.toml"
    path.write_text(PLAN)
    write(start(read_plan(path)), record_path(path))
    return path


def test_each_user_has_the_plan_s_arm_and_the_exposures_say_so(wheel, ledger, plan):
    app, sealed = create_app(wheel, quick(experiment=str(plan), rotate_s=1000.0)), read_plan(plan)
    keys = {"current": ledger.get(1).key, "new": ledger.get(3).key, None: ledger.get(2).key}
    with TestClient(app) as client:
        pages = {user: [client.post("/v1/recommend", json={"user_id": user}).json() for _ in range(2)] for user in USERS}
        ledger.promote(2, "while it runs")
        assert client.post("/v1/generations/reload").json()["serving"] == 2
        for user in USERS:
            pages[user].append(client.post("/v1/recommend", json={"user_id": user, "request_id": f"of {user}"}).json())
        explained = client.get("/v1/explain/of c1").json()
        assert explained["worked_out_again"]
        told = client.get("/v1/experiments").json()
        statuses = [one["status"] for one in client.get("/v1/generations").json()["generations"]]
    for user, arm in zip(USERS, assign(sealed.allocation, USERS).tolist(), strict=True):
        name = None if arm == OUTSIDE else sealed.allocation.names[arm]
        assert {page["arm"] for page in pages[user]} == {name}
        assert pages[user][2]["generation"] == keys[name], "a promotion changes nothing for those inside"
        assert {page["experiment"] for page in pages[user]} == {None if name is None else "ranker"}
    inside = [arm for arm in assign(sealed.allocation, USERS).tolist() if arm != OUTSIDE]
    assert 0 < len(inside) < 40
    assert [(one["name"], one["generation"], one["answers"]) for one in told[0]["arms"]] == [
        ("current", 1, 3 * inside.count(0)),
        ("new", 3, 3 * inside.count(1)),
    ]
    assert statuses == ["arm", "live", "arm"]
    logged = read_exposures(wheel / "served/exposures/*/*.parquet")
    found = exposed(sealed, logged)
    assert found.counts(sealed) == {"current": inside.count(0), "new": inside.count(1)}
    assert (found.crossovers, found.repeated) == (0, 0)


def test_an_erasure_reaches_exposures(wheel, plan):
    app, sealed = create_app(wheel, quick(experiment=str(plan))), read_plan(plan)
    inside = [user for user, arm in zip(USERS, assign(sealed.allocation, USERS).tolist(), strict=True) if arm != OUTSIDE][:3]
    with TestClient(app) as client:
        for user in inside:
            client.post("/v1/recommend", json={"user_id": user})
    assert forget_served(wheel / "served", inside[0], map_gb=0.1)["exposures"] == 1
    left = pl.read_parquet(sorted((wheel / "served" / "exposures").glob("*/*.parquet")))
    assert set(left["unit_id"]) == set(inside[1:])


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ("generation = 3\n", "", 'arm "new" says no generation'),
        ("generation = 3\n", "generation = 9\n", "there is no generation 9"),
        ('control = "current"', 'control = "current"\nunit_kind = "session"', "requests name no session"),
    ],
)
def test_a_plan_that_can_t_be_served_is_refused_at_the_start(wheel, plan, before, after, says):
    plan.write_text(PLAN.replace(before, after))
    write(start(read_plan(plan)), record_path(plan))
    with pytest.raises(ConfigError, match=says):
        create_app(wheel, quick(experiment=str(plan)))


def test_a_plan_that_was_not_sealed_is_refused(wheel, plan):
    record_path(plan).unlink()
    with pytest.raises(ConfigError, match="no record of a start"):
        create_app(wheel, quick(experiment=str(plan)))
