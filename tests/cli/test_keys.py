import os
import socket

import pytest
from typer.testing import CliRunner

from headrace.cli.main import app
from headrace.cli.serving import check_reach, loopback
from headrace.cli.serving_doctor import show_serving
from headrace.contracts.errors import ConfigError
from headrace.serve.guard.keys import FILE, KeyRing


def said(*arguments):
    return CliRunner().invoke(app, [str(one) for one in arguments])


def test_a_key_is_made_listed_and_revoked(tmp_path):
    made = said("keys", "add", tmp_path, "website", "--scope", "read, write")
    secret = made.stdout.splitlines()[0]
    found = KeyRing(tmp_path / FILE).holder(secret)
    assert found is not None
    assert found.scopes == ("read", "write")
    listed = said("keys", "list", tmp_path).stdout
    assert "website" in listed
    assert "read, write" in listed
    assert secret not in listed
    said("keys", "revoke", tmp_path, "website")
    assert KeyRing(tmp_path / FILE).holder(secret) is None
    assert "no keys" in said("keys", "list", tmp_path).stdout


def test_a_server_without_keys_is_not_put_on_a_network_by_accident(tmp_path):
    for host in ("127.0.0.1", "::1", "localhost"):
        assert loopback(host)
        check_reach(tmp_path, host, closed=False, anyone=False)
    for host in ("0.0.0.0", "::", "10.0.0.1", "shop.example"):
        with pytest.raises(ConfigError, match=r"headrace keys add .* --host 127.0.0.1.* --open"):
            check_reach(tmp_path, host, closed=False, anyone=False)
        check_reach(tmp_path, host, closed=True, anyone=False)
        check_reach(tmp_path, host, closed=False, anyone=True)


def test_the_doctor_names_what_stands_against_serving(tmp_path, capsys):
    (tmp_path / FILE).write_text('{"keys": []}')
    (tmp_path / FILE).chmod(0o644)
    os.utime(tmp_path / FILE, (4e9, 4e9))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert not show_serving(tmp_path, port)
    found = " ".join(capsys.readouterr().out.split())
    for says in ("does not open", "chmod 600", "ahead of it", f"{port}: Address already in use", "can be written", "GB free"):
        assert says in found


def test_the_log_s_form_is_checked():
    found = said("serve", "nowhere", "--log-format", "xml")
    assert found.exit_code == 2
