"""A user is forgotten by a server that goes on serving."""

import polars as pl
from fastapi.testclient import TestClient

from headrace.contracts.serving import ServeConfig
from headrace.data.forget import ERASED, erased_users
from headrace.serve.app import create_app
from tests.serve.test_app import bought
from tests.serve.workers.started import until

WHO = "somebody/who wants to be forgotten"


def serving(run):
    return TestClient(create_app(run, ServeConfig(rotate_s=0.2, unshown_share=1.0)))


def asked(user, number):
    return f"{user.replace('/', ' ')} {number}"


def visit(client, user, numbers):
    for number in numbers:
        assert client.post("/v1/recommend", json={"user_id": user, "request_id": asked(user, number)}).status_code == 200
        sent = bought(user, f"p{number}", event_id=f"{user}/{number}", query=f"a wish of {len(user)} letters")
        assert client.post("/v1/events", json=sent).json()["stored"] == 1


def tables(root):
    found = {}
    for name in ("events", "requests", "candidates"):
        paths = sorted((root / name).glob("*/*.parquet"))
        found[name] = pl.read_parquet(paths) if paths else None
    return found


def names(root, text):
    """Files that hold it; one that is just renamed or gone is none."""

    def read(path):
        try:
            return path.read_bytes()
        except FileNotFoundError:
            return b""

    return [path for path in root.rglob("*") if path.is_file() and text.encode() in read(path)]


def test_nothing_of_them_is_in_a_file_an_answer_or_an_explanation(own_run):
    with serving(own_run) as client:
        leave(client, own_run)
    root = own_run / "served"
    after = tables(root)
    assert set(after["requests"]["user_id"]) == {"c2", "nobody at all"}
    assert set(after["events"]["user_id"]) == {"c2"}
    assert set(after["candidates"]["request_id"]) == set(after["requests"]["request_id"])
    assert not names(root, WHO)


def leave(client, run):
    root = run / "served"
    visit(client, WHO, range(3))
    visit(client, "c2", range(2))
    until(lambda: tables(root)["events"] is not None and tables(root)["requests"] is not None)
    visit(client, WHO, range(3, 5))  # and some that wait to be written
    assert client.get(f"/v1/explain/{asked(WHO, 4)}").status_code == 200

    told = client.delete(f"/v1/users/{WHO}")
    assert told.status_code == 200
    assert told.json()["removed"]["state"] == 5
    assert not told.json()["in_build"]
    assert client.delete(f"/v1/users/{WHO}").json() == {"removed": {}, "in_build": False, "elsewhere": 0}
    assert not names(root, WHO)
    assert not names(root, f"a wish of {len(WHO)} letters")
    for number in range(5):
        assert client.get(f"/v1/explain/{asked(WHO, number)}").status_code == 404
    again = client.post("/v1/recommend", json={"user_id": WHO, "request_id": "after"}).json()
    nobody = client.post("/v1/recommend", json={"user_id": "nobody at all", "request_id": "after too"}).json()
    assert len(again["items"]) == len(nobody["items"])
    assert client.post("/v1/events", json=bought(WHO, "p9")).json() == {"stored": 0, "repeated": 0, "erased": 1}
    assert client.get("/v1/explain/c2 1").json()["worked_out_again"]
    assert erased_users(run / "store" / ERASED) == [WHO]


def test_one_of_the_build_is_nobody_from_then_on_and_the_answer_says_where_they_still_stand(own_run):
    with serving(own_run) as client:
        service = client.app.state.serving.service
        assert service.requests(service.recommend("c5", "before").asked).history.lengths[0] > 0
        assert client.delete("/v1/users/c5").json() == {"removed": {}, "in_build": True, "elsewhere": 0}
        assert service.remembered("before") is None
        assert service.requests(service.recommend("c5", "after").asked).history.lengths.tolist() == [0]
        assert client.get("/v1/explain/after").status_code == 404
