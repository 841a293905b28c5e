"""What the runbook says of backups, restores and upgrades, step by step on a run that was served."""

import shutil

import numpy as np
import polars as pl
from fastapi.testclient import TestClient

from headrace.cascade.run import build
from headrace.contracts.serving import ServeConfig
from headrace.serve.app import create_app
from tests.cascade.shop import write_shop
from tests.serve.test_app import bought, items
from tests.serve.workers.started import until

GONE, THERE = "who was erased", "c3"
QUICK = ServeConfig(rotate_s=0.1, unshown_share=1.0, runtime="torch", min_free_mb=0.0)


def serving(run):
    return TestClient(create_app(run, QUICK))


def history(client, user):
    service = client.app.state.serving.service
    found = service.state.history([user], np.array([service.now_us()]))
    return [service.names.ids[item] for item in found.items]


def all_in_files(served):
    """Of `THERE` and of the catalogue."""
    found = {name: list((served / name).glob("*/*.parquet")) for name in ("events", "requests", "items")}
    if not all(found.values()):
        return False
    events, requests = (pl.read_parquet(found[name])["user_id"] for name in ("events", "requests"))
    return (events == THERE).sum() == 3 and THERE in requests


def visited(run, backup):
    """Events and pages of two users, one of whom is erased; copied while it runs as soon as all is in files. What `THERE` had."""
    with serving(run) as client:
        for user in (GONE, THERE):
            sent = [bought(user, f"p{n}", event_id=f"{user} {n}") for n in (2, 5, 8)]
            assert client.post("/v1/events", json=sent).json()["stored"] == 3
            page = client.post("/v1/recommend", json={"user_id": user, "request_id": f"of {user}"})
            client.app.state.pages = {**getattr(client.app.state, "pages", {}), user: items(page.json())}
        client.put("/v1/items", json={"item_id": "p1", "available": False})
        assert client.delete(f"/v1/users/{GONE}").status_code == 200
        until(lambda: all_in_files(run / "served"), "not all came to be in files")
        shutil.copytree(run / "served", backup / "served", ignore=shutil.ignore_patterns("state", "lately"))
        return history(client, THERE)


def holds(run, had, *, withdrawn=True):
    with serving(run) as client:
        assert sorted(history(client, THERE)) == sorted(had), "of one moment, so their order is a build's own"
        assert history(client, GONE) == []
        assert client.post("/v1/events", json=bought(THERE, "p2", event_id=f"{THERE} 2")).json()["repeated"] == 1
        assert client.post("/v1/events", json=bought(GONE, "p2")).json()["erased"] == 1
        page = client.post("/v1/recommend", json={"user_id": THERE}).json()
        assert not {"p2", "p5", "p8"} & set(items(page))
        assert not withdrawn or "p1" not in items(page)
        assert client.get(f"/v1/explain/of {THERE}").status_code == 200, "logged answers are there too"
        assert client.get("/readyz").status_code == 200


def test_a_copy_of_the_stopped_run_is_the_run(own_run, tmp_path):
    had = visited(own_run, tmp_path / "backup")
    shutil.copytree(own_run, tmp_path / "whole" / "run")
    shutil.rmtree(own_run)
    shutil.copytree(tmp_path / "whole" / "run", own_run)
    holds(own_run, had)


def test_files_copied_while_it_ran_give_histories_back_and_who_was_erased_stays_so(own_run, tmp_path):
    had = visited(own_run, tmp_path / "backup")
    shutil.rmtree(own_run / "served")
    shutil.copytree(tmp_path / "backup" / "served", own_run / "served")
    holds(own_run, had, withdrawn=False)


def test_an_upgrade_takes_what_was_served_along_and_there_is_a_way_back(own_run, tmp_path):
    """The newer version is another build here: other numbers for everything, on the same log."""
    had = visited(own_run, tmp_path / "backup")
    toml = write_shop(tmp_path)
    toml.write_text("seed = 7\n" + toml.read_text())
    build(toml, tmp_path / "new", name="shop")
    shutil.copytree(own_run / "served", tmp_path / "new" / "served")
    for path in own_run.glob("store/*eras*"):
        (shutil.copytree if path.is_dir() else shutil.copy)(path, tmp_path / "new" / "store" / path.name)
    holds(tmp_path / "new", had)
    holds(own_run, had)
