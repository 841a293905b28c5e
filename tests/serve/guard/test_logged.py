import json
import logging

import pytest

from headrace.serve.guard.headers import Headers
from headrace.serve.guard.identified import Identified
from headrace.serve.guard.log_lines import JsonLines, TextLines, log_to_stderr
from headrace.serve.guard.logged import Logged
from headrace.serve.guard.same_site import SameSite
from tests.serve.guard.asking import ask, echo


def around(app):
    return Identified(Logged(app, lambda: "generation 1"))


@pytest.mark.parametrize(
    ("sent", "kept"), [("abc-1.2_3:4", True), ("", False), ("a b", False), ("a\r\nx: y", False), ("é", False), ("a" * 200, False)]
)
def test_a_plain_request_id_is_kept_and_any_other_replaced(sent, kept):
    found = ask(around(echo), headers={"X-Request-ID": sent}).headers["x-request-id"]
    assert (found == sent) == kept
    assert found


def test_a_line_an_answer_with_neither_path_nor_headers_nor_body(caplog):
    caplog.set_level(logging.INFO)
    secret = "hr_12345678_the-secret"
    headers = {"Authorization": f"Bearer {secret}", "X-Request-ID": "r1", "content-length": "4"}
    ask(around(echo), "GET", "/v1/explain/user-42", headers, [b"body"])
    (record,) = caplog.records
    line = json.loads(JsonLines().format(record))
    assert line["route"] == "/v1/explain/{request_id}"
    assert (line["id"], line["status"], line["bytes"], line["generation"], line["key"]) == ("r1", 200, 4, "generation 1", "")
    assert line["ms"] >= 0
    for form in (JsonLines(), TextLines("%(message)s")):
        said = form.format(record)
        assert "\n" not in said
        assert not any(word in said for word in (secret, "user-42", "body"))


def test_what_nobody_caught_is_answered_and_logged_under_the_id(caplog):
    async def fails(*_):
        raise RuntimeError("with a secret in it")

    answer = ask(around(fails), headers={"X-Request-ID": "r2"})
    assert (answer.status, answer.error["field"]) == (500, "server")
    assert "r2" in answer.error["message"]
    assert "secret" not in answer.error["message"]
    assert "r2" in caplog.records[0].getMessage()
    assert "RuntimeError" in json.loads(JsonLines().format(caplog.records[0]))["traceback"]


def test_pages_are_told_what_to_keep_to():
    async def page(of, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/html; charset=utf-8")]})
        await send({"type": "http.response.body", "body": b""})

    found = ask(Headers(page), path="/console").headers
    assert "script-src" not in found["content-security-policy"]
    assert "default-src 'self'" in found["content-security-policy"]
    assert (found["x-frame-options"], found["x-content-type-options"]) == ("DENY", "nosniff")
    assert "content-security-policy" not in ask(Headers(echo)).headers


def test_a_page_of_another_site_may_not_write():
    app = SameSite(echo, ("https://shop.example",))
    for origin, method, status in (
        ("https://evil.example", "POST", 403), ("null", "DELETE", 403), ("http://[", "POST", 403),
        ("https://shop.example", "POST", 200), ("http://host:8765", "POST", 200), ("https://evil.example", "GET", 200),
    ):  # fmt: skip
        assert ask(app, method, headers={"Origin": origin, "Host": "host:8765"}).status == status
    assert ask(app, "POST").status == 200


def test_a_library_that_sets_itself_a_lower_level_says_no_more(capsys):
    root, noisy = logging.getLogger(), logging.getLogger("noisy.library")
    before, level = root.handlers[:], root.level
    try:
        log_to_stderr("text")
        noisy.setLevel(logging.DEBUG)
        noisy.debug("an index is made")
        noisy.warning("an index is damaged")
        logging.getLogger("headrace.serve.app").info("an answer")
    finally:
        root.handlers[:] = before
        root.setLevel(level)
    said = capsys.readouterr().err
    assert ("an index is made" in said, "an index is damaged" in said, "an answer" in said) == (False, True, True)
