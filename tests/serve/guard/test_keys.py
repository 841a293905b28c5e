import base64
import json
import stat

import pytest

from headrace.contracts.errors import ConfigError
from headrace.serve.guard.authorised import Authorised, address, secret_of
from headrace.serve.guard.keys import FILE, KeyRing, add_key, read_keys, revoke_key
from tests.serve.guard.asking import ask, echo, scope


def bearer(secret):
    return {"Authorization": f"Bearer {secret}"}


def test_a_secret_is_said_once_and_only_its_hash_is_kept(tmp_path):
    secret = add_key(tmp_path, "website", ["write", "read"])
    path = tmp_path / FILE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    kept = path.read_text()
    assert secret.split("_", 2)[2] not in kept
    (key,) = read_keys(path).values()
    assert (key.name, key.scopes, key.prefix) == ("website", ("read", "write"), secret.split("_")[1])
    assert KeyRing(path).holder(secret) == key


@pytest.mark.parametrize("change", [lambda s: s[:-1], lambda s: s + "x", lambda s: "", lambda s: "hr_00000000_x", lambda s: "é"])
def test_nothing_but_the_secret_is_its_secret(tmp_path, change):
    secret = add_key(tmp_path, "website", ["read"])
    assert KeyRing(tmp_path / FILE).holder(change(secret)) is None


def test_what_is_no_key_is_refused_with_what_to_do(tmp_path):
    add_key(tmp_path, "website", ["read"])
    for name, scopes, says in (
        ("website", ["read"], "is there already"), ("a b", ["read"], "letters"), ("other", ["reed"], 'mean "read"'),
        ("other", [], "without a scope"),
    ):  # fmt: skip
        with pytest.raises(ConfigError, match=says):
            add_key(tmp_path, name, scopes)
    with pytest.raises(ConfigError, match="no key is named web"):
        revoke_key(tmp_path, "web")
    with pytest.raises(ConfigError, match="no such run"):
        add_key(tmp_path / "nowhere", "website", ["read"])


def test_missing_wrong_and_under_scoped_keys(tmp_path):
    secret = add_key(tmp_path, "website", ["read"])
    app = Authorised(echo, KeyRing(tmp_path / FILE))
    none = ask(app, "POST", "/v1/recommend")
    assert (none.status, none.error["field"]) == (401, "key")
    assert "Bearer" in none.headers["www-authenticate"]
    wrong = ask(app, "POST", "/v1/recommend", bearer(secret + "x"))
    assert wrong.status == 401
    assert secret not in wrong.body.decode()
    under = ask(app, "POST", "/v1/events", bearer(secret))
    assert (under.status, '"write"' in under.error["message"]) == (403, True)
    assert ask(app, "POST", "/v1/recommend", bearer(secret)).status == 200
    assert ask(app, "POST", "/v1/recommend", {"X-API-Key": secret}).status == 200
    browser = base64.b64encode(f"me:{secret}".encode()).decode()
    assert ask(app, "POST", "/v1/recommend", {"Authorization": f"Basic {browser}"}).status == 200
    assert ask(app, "GET", "/healthz").status == 200
    assert ask(app, "GET", "/readyz").status == 200


def test_a_route_that_nobody_gave_a_scope_is_not_let_through(tmp_path):
    secret = add_key(tmp_path, "all", ["read", "write", "admin"])
    app = Authorised(echo, KeyRing(tmp_path / FILE))
    for method, path in (("GET", "/v1/new"), ("DELETE", "/v1/recommend"), ("GET", "//healthz"), ("TRACE", "/console")):
        assert ask(app, method, path, bearer(secret)).status == 404
        assert ask(app, method, path).status == 401


def test_a_revoked_key_is_out_and_a_new_one_in_without_a_restart(tmp_path):
    app = Authorised(echo, KeyRing(tmp_path / FILE))
    assert ask(app, "POST").status == 200, "no keys yet"
    first, second = (add_key(tmp_path, name, ["read"]) for name in ("first", "second"))
    assert ask(app, "POST").status == 401
    assert ask(app, "POST", headers=bearer(first)).status == 200
    revoke_key(tmp_path, "first")
    assert ask(app, "POST", headers=bearer(first)).status == 401
    assert ask(app, "POST", headers=bearer(second)).status == 200
    revoke_key(tmp_path, "second")
    assert ask(app, "POST").status == 401, "the last key's going opens nothing"
    (tmp_path / FILE).unlink()
    assert ask(app, "POST").status == 401


def test_a_file_that_can_t_be_read_lets_nobody_in(tmp_path):
    secret = add_key(tmp_path, "website", ["read"])
    app = Authorised(echo, KeyRing(tmp_path / FILE))
    (tmp_path / FILE).write_text('{"keys": [{"sha256": "abc')
    assert ask(app, "POST", headers=bearer(secret)).status == 503
    (tmp_path / FILE).write_text(json.dumps({"keys": [{"name": "x"}]}))
    with pytest.raises(ConfigError, match="make keys anew"):
        read_keys(tmp_path / FILE)


def test_what_a_header_says():
    assert secret_of(scope(headers={"Authorization": "bearer  abc "})) == "abc"
    assert secret_of(scope(headers={"Authorization": "Basic !!"})) == "unreadable"
    assert secret_of(scope(headers={"Authorization": "Digest x", "X-API-Key": "k"})) == "k"
    assert address(scope(client="2001:db8:1:2:3:4:5:6")) == address(scope(client="2001:db8:1:2::9")) == "2001:0db8:0001:0002"
    assert address({"client": None}) == "unknown"


def test_a_run_whose_folder_can_t_be_written_gets_no_key_and_says_why(tmp_path):
    (tmp_path / ".keys.lock").mkdir()
    with pytest.raises(ConfigError, match=r"can't be written \(Is a directory\): chown or chmod it for user"):
        add_key(tmp_path, "website", ["read"])
