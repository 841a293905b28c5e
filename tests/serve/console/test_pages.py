"""Every page, whatever it shows: whole without JavaScript, harmless whatever ids and titles hold, nothing from elsewhere."""

import json
from hashlib import sha256
from importlib.resources import files
from urllib.parse import urlencode

import pytest

from headrace.serve.console.pages import PAGES
from tests.serve.console.hostile import PREFERENCE, SCRIPT, USER, item
from tests.serve.console.markup import check_harmless

STATIC = files("headrace.serve.console").joinpath("static")
ASKED = {"user": USER, "preference": PREFERENCE, "exclude": f"{item(1)}\n{SCRIPT}", "seed": SCRIPT}
CHOICES = ("generation", "against", "metric", "slice", "reason", "page", "codes", "user", "words", "file", "item")
ADDRESSES = [
    *(one.LINK.url for one in PAGES),
    "/console/overview/figures",
    "/console?still=true",
    *(f"/console/explorer?{urlencode({**ASKED, 'user': user})}" for user in (USER, "u1", f"nobody{SCRIPT}", "\x00/../\x1f")),
    *(f"{one.LINK.url}?{urlencode(dict.fromkeys(CHOICES, SCRIPT))}" for one in PAGES),
]
OF_A_LEDGER = [*(one.LINK.url for one in PAGES), "/console/evaluation?generation=2&against=1", "/console/evaluation?generation=3"]


@pytest.fixture(scope="module", autouse=True)
def asked(client):
    """There is something to show."""
    assert client.post("/v1/recommend", json={"user_id": USER, "preference": PREFERENCE}).status_code == 200
    assert client.post("/v1/recommend", json={"user_id": ""}).status_code == 422


@pytest.mark.parametrize("address", ADDRESSES)
def test_every_page_is_harmless(client, address):
    answer = client.get(address)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "<script>document" not in answer.text
    check_harmless(answer.text)


@pytest.mark.parametrize("address", OF_A_LEDGER)
def test_every_page_of_a_run_with_a_ledger_is_harmless(ledgered, address):
    answer = ledgered.get(address)
    assert answer.status_code == 200
    assert "<script>document" not in answer.text
    check_harmless(answer.text)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.__name__.rpartition(".")[2])
def test_every_page_has_its_marks(client, page):
    found = check_harmless(client.get(page.LINK.url).text)
    assert len(found.all("h1")) == len(found.all("main")) == len(found.all("nav")) == 1
    assert found.all("html") == [{"lang": "en"}]
    assert next(one for one in found.all("a") if one.get("class") == "skip")["href"] == "#content"
    assert [one["href"] for one in found.all("a") if one.get("aria-current") == "page"] == [page.LINK.url]
    assert {one.LINK.url for one in PAGES} <= {one["href"] for one in found.all("a")}
    ids = [one["id"] for _, one in found.tags if "id" in one]
    assert len(ids) == len(set(ids))
    labelled = {one["for"] for one in found.all("label")}
    assert {one["id"] for name in ("input", "select", "textarea") for one in found.all(name)} <= labelled


def test_the_policy_allows_the_pages_own_files_alone(client):
    policy = client.get("/console").headers["content-security-policy"]
    rules = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == rules["style-src"] == rules["connect-src"] == rules["form-action"] == "'self'"
    assert rules["base-uri"] == rules["frame-ancestors"] == "'none'"
    assert rules["img-src"] == "'self' https:"  # this server shows items' pictures
    assert "unsafe" not in policy


def test_files_are_kept_by_their_content(client):
    page = check_harmless(client.get("/console").text)
    addresses = [one["src"] for one in page.all("script") if "src" in one] + [one["href"] for one in page.all("link")]
    addresses += [value for one in page.all("script") for name, value in one.items() if name.startswith("data-")]
    assert len(addresses) == 7
    for address in addresses:
        answer = client.get(address)
        assert answer.status_code == 200
        assert "immutable" in answer.headers["cache-control"]
    assert client.get("/console/static/style.css").headers["cache-control"] == "private, no-cache"
    assert client.get("/console/static/style.css?v=old").headers["cache-control"] == "private, no-cache"


@pytest.mark.parametrize(
    "name", ["none.js", "vendored.json", "licences", "..%2Fview.py", "%2Fetc%2Fpasswd", "licences%2Fvega.txt"]
)
def test_nothing_else_is_served(client, name):
    assert client.get(f"/console/static/{name}").status_code == 404


def test_what_is_vendored_is_what_is_pinned():
    pins = json.loads(STATIC.joinpath("vendored.json").read_text())
    for one in [*pins["files"], *pins["licences"]]:
        assert sha256(STATIC.joinpath(one["file"]).read_bytes()).hexdigest() == one["sha256"], one["file"]
    assert {one["package"] for one in pins["files"]} <= {one["package"] for one in pins["licences"]}
    scripts = [one for one in STATIC.iterdir() if one.name.endswith((".js", ".css"))]
    assert {one["file"] for one in pins["files"]} == {one.name for one in scripts} - {"api.js", "console.js", "style.css"}
    assert sum(len(one.read_bytes()) for one in scripts) < 1e6


def test_the_console_is_not_of_the_api(client):
    assert not [path for path in client.get("/openapi.json").json()["paths"] if path.startswith("/console")]
