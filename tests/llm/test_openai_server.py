import gc
import gzip
import json
import logging
import sys
import threading
import time
from contextlib import closing, contextmanager
from email.utils import formatdate
from typing import Any

import pytest

from headrace.contracts.chat import Message, Sampling, Unsupported
from headrace.contracts.errors import ConfigError
from headrace.llm.budget import Budget, Limits, Prices
from headrace.llm.cache import AnswerCache
from headrace.llm.chat import Chatting
from headrace.llm.openai_server import OpenAIServer, ServerConfig, ServerRefuses
from headrace.testing import check_chat_model
from headrace.testing.chat import ASKED, HOT
from tests.llm.chat_server import completion, serving

YES = '{"hot": true}'


@contextmanager
def asking(reply, **settings):
    with serving(reply) as server, closing(backend(server.url, **settings)) as made:
        yield server, Chatting(made)


def backend(url, **settings):
    quick = {"base_url": url, "model": "m", "tries": 2, "first_pause_s": 0.001, "timeout_s": 60.0}
    return OpenAIServer(ServerConfig(**quick | settings))


def chat(text):
    return [Message("user", text)]


def last(body):
    return body["messages"][-1]["content"]


def test_contract(tmp_path):
    said = {"Is tea hot?": YES, "Is sand hot?": f"Well: {YES}"}
    with asking(lambda body: completion(said.get(last(body), "No."))) as (_, model):
        check_chat_model(model)
        with AnswerCache(tmp_path / "answers.sqlite") as cache:
            check_chat_model(Chatting(model.backend, cache))


def test_what_is_sent_and_what_is_counted(monkeypatch):
    monkeypatch.setenv("SHOP_KEY", "sk-secret")
    with asking(lambda _: completion("Yes."), api_key_env="SHOP_KEY") as (server, model):
        (answer,) = model.complete_many([ASKED[0]], sampling=Sampling(max_tokens=9, temperature=0.5, seed=3))
    assert server.asked == [{
        "model": "m", "temperature": 0.5, "seed": 3, "max_tokens": 9,
        "messages": [{"role": "system", "content": ASKED[0][0].content}, {"role": "user", "content": "Is tea hot?"}],
    }]  # fmt: skip
    assert server.headers[0]["authorization"] == "Bearer sk-secret"
    assert (answer.text, answer.usage.prompt_tokens, answer.usage.completion_tokens) == ("Yes.", 7, 3)
    assert model.id == f"openai:{server.host}/v1:m"


def test_tokens_are_estimated_where_nobody_counted():
    with asking(lambda _: completion("Yes, it is!!", usage=None)) as (_, model):
        (answer,) = model.complete_many([chat("1234 678")])
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (2 + 8, 3)


def test_a_server_that_has_schemas_is_handed_one():
    with asking(lambda _: completion(YES)) as (server, model):
        assert model.complete_many([ASKED[0]], HOT)[0].parsed == {"hot": True}
    assert server.asked[0]["response_format"] == {"type": "json_schema", "json_schema": {"name": "answer", "schema": HOT}}
    assert json.dumps(HOT) in server.asked[0]["messages"][0]["content"]


def test_a_server_that_has_none_is_told_in_words_from_then_on():
    def reply(body):
        if "response_format" in body:
            return 400, {}, b'{"error": {"message": "response_format json_schema is not supported"}}'
        return completion(YES)

    with asking(reply, tries=1, concurrency=1) as (server, model):
        answers = model.complete_many(ASKED, HOT)
    assert [answer.status for answer in answers] == ["parsed"] * 3
    assert ["response_format" in body for body in server.asked] == [True, False, False, False]


@pytest.mark.parametrize(
    ("reply", "cause", "tries"),
    [
        ((200, {"content-type": "text/html"}, b"<html>Welcome</html>"), "HTML where JSON was expected", 2),
        ((200, {}, json.dumps(completion("Yes.")).encode()[:60]), "JSON that breaks off (60 bytes", 2),
        ((200, {}, b""), "JSON that breaks off (0 bytes", 2),
        ((200, {}, b'{"choices": []}'), "JSON that is no chat completion", 2),
        ((200, {}, b"[" * 100_000), "JSON that breaks off", 2),
        ((200, {}, b"null"), "JSON that is no chat completion", 2),
        ((200, {}, json.dumps(completion(["Yes."])).encode()), "JSON that is no chat completion", 2),
        ((200, {"content-encoding": "gzip"}, b"not gzip"), "the answer broke off", 2),
        ((200, {"content-encoding": "gzip"}, gzip.compress(b" " * 5_000_000)), "an answer of more than 1,000,000 bytes", 1),
        ((200, {"content-length": "500"}, b'{"cho'), "the answer broke off", 2),
        ((500, {}, b"<html>Oops</html>"), "status 500: a web page", 2),
        ((429, {}, b'{"error": {"message": "Slow down."}}'), "status 429: Slow down.", 2),
        ((503, {"retry-after": "3600"}, b"Closed."), "status 503: Closed. (asks for a pause of 3,600 s)", 1),
        ((400, {}, b'{"error": {"message": "The chat is too long."}}'), "status 400: The chat is too long.", 1),
        (completion("word " * 100_000, usage=None), "125,000 tokens of answer where max_tokens was 256", 1),
        (completion("x" * 2_000_000), "an answer of more than 1,000,000 bytes", 1),
        (completion(None, choices=[{"message": {"content": None, "refusal": "I can't."}}]), "declined (I can't.)", 1),
        (completion("", choices=[{"message": {"content": ""}, "finish_reason": "content_filter"}]), "declined (content_fil", 1),
    ],
)  # fmt: skip
def test_what_is_no_answer_is_failed_with_host_and_cause(reply, cause, tries):
    with asking(lambda _: reply, max_answer_bytes=1_000_000) as (server, model):
        (answer,) = model.complete_many([chat("Is tea hot?")])
    assert answer.status == "failed"
    assert answer.text == ""
    assert answer.reason.startswith(f"{server.host}: ")
    assert cause in answer.reason
    assert len(server.asked) == tries


def test_a_declined_answer_is_paid_for_all_the_same():
    with asking(lambda _: completion("word " * 1000, usage={"prompt_tokens": 9, "completion_tokens": 1000})) as (_, model):
        model.complete_many([chat("Is tea hot?")])
    assert (model.usage.prompt_tokens, model.usage.completion_tokens, model.usage.failed) == (9, 1000, 1)


def test_a_server_that_is_down():
    with serving(lambda _: completion("Yes.")) as server:
        url, host = server.url, server.host
    with closing(backend(url)) as made:
        (answer,) = Chatting(made).complete_many([chat("Is tea hot?")])
    assert answer.status == "failed"
    assert answer.reason.startswith(f"{host}: can't be reached (")
    assert "refused" in answer.reason
    assert answer.usage.completion_tokens == 0


def silent(handler):
    """Until the client hangs up."""
    handler.connection.recv(1)


def drips(handler):
    """An answer whose end never comes."""
    handler.send_response(200)
    handler.send_header("content-length", "100000")
    handler.end_headers()
    for _ in range(3000):  # until the client hangs up
        handler.wfile.write(b" ")
        handler.wfile.flush()
        time.sleep(0.02)


@pytest.mark.parametrize("reply", [lambda _: silent, lambda _: drips], ids=["silent", "drips"])
def test_a_server_that_is_too_slow(reply):
    with asking(reply, timeout_s=0.1, tries=1) as (server, model):
        (answer,) = model.complete_many([chat("Is tea hot?")])
    assert answer.reason.startswith(f"{server.host}: no ")
    assert "within 0.1 s (1 try)" in answer.reason


@pytest.mark.parametrize("wait", ["0.2", "date"])
def test_a_server_that_asks_for_a_pause_gets_it(wait):
    times = []

    def reply(_):
        times.append(time.monotonic())
        after = formatdate(time.time() + 1.5, usegmt=True) if wait == "date" else wait
        return (429, {"retry-after": after}, b"{}") if len(times) == 1 else completion("Yes.")

    with asking(reply) as (_, model):
        assert model.complete_many([chat("Is tea hot?")])[0].text == "Yes."
    assert times[1] - times[0] > 0.19  # a date has whole seconds


def test_a_wrong_key_stops_at_once_and_is_never_shown(monkeypatch, caplog):
    monkeypatch.setenv("SHOP_KEY", "sk-secret")
    caplog.set_level(logging.DEBUG)
    refusal: Any = 401, {}, b'{"error": {"message": "Incorrect key sk-secret"}}'
    with asking(lambda _: refusal, api_key_env="SHOP_KEY", concurrency=1) as (server, model):
        with pytest.raises(ServerRefuses, match=r"status 401: Incorrect key \[key\].*\(SHOP_KEY\)") as raised:
            model.complete_many([chat(str(n)) for n in range(50)])
        assert len(server.asked) == 1
        assert "sk-secret" not in repr(model.backend.config) + str(raised.value) + caplog.text + model.id


def test_many_failures_in_a_row_stop_and_what_was_answered_is_kept(tmp_path):
    def reply(body):
        return completion("Yes.") if int(last(body)) < 3 else (500, {}, b"Oops")

    with (
        AnswerCache(tmp_path / "answers.sqlite") as cache,
        asking(reply, concurrency=1, tries=1, failures_in_a_row=4) as (server, model),
        pytest.raises(ServerRefuses, match="4 chats in a row"),
    ):
        Chatting(model.backend, cache).complete_many([chat(str(n)) for n in range(50)])
    assert len(server.asked) == 7
    with AnswerCache(tmp_path / "answers.sqlite") as cache:
        assert cache.rows == 3


def test_no_more_at_once_than_asked_for_and_every_answer_in_its_place():
    two = threading.Barrier(2)

    def reply(body):
        if int(last(body)) < 2:
            two.wait(60)  # for the other one, which is under way
        return completion(f"{last(body)}!")

    with asking(reply, concurrency=3) as (server, model):
        answers = model.complete_many([chat(str(n)) for n in range(60)])
    assert [answer.text for answer in answers] == [f"{n}!" for n in range(60)]
    assert 1 < server.most_at_once <= 3


def test_any_number_of_rows_takes_so_many_requests_at_once_and_no_more_memory():
    """In parts, as rows of a table are asked: live blocks of memory after half of them and after all."""
    rows, part, settled, two = 400, 50, 0, threading.Barrier(2)

    def reply(body):
        if last(body) in ("0", "1"):
            two.wait(60)  # for the other one, which is under way
        return completion(YES)

    with serving(reply, keeps=False) as server, closing(backend(server.url, concurrency=8)) as made:
        model = Chatting(made)
        for first in range(0, rows, part):
            answers = model.complete_many([chat(str(first + n)) for n in range(part)], HOT)
            assert all(answer.parsed == {"hot": True} for answer in answers)
            del answers
            gc.collect()
            settled = settled or (sys.getallocatedblocks() if first + part >= rows // 2 else 0)
        assert sys.getallocatedblocks() - settled < rows  # a row's answer alone is ten blocks, and of half the rows
    assert model.usage.calls == rows
    assert 1 < server.most_at_once <= 8


def test_requests_are_spread():
    with asking(lambda _: completion("Yes."), requests_per_minute=1200) as (_, model):
        started = time.monotonic()
        model.complete_many([chat(str(n)) for n in range(5)])
    assert time.monotonic() - started >= 4 * 0.05


def test_a_budget_of_money_holds_against_a_server():
    budget, prices = Budget(Limits(max_cost=1e-3)), Prices(prompt=1.0, completion=10.0)
    with asking(lambda _: completion("Yes.")) as (server, model):
        priced = Chatting(model.backend, budget=budget, prices=prices)
        with pytest.raises(Exception, match="the budget ends at cost"):
            priced.complete_many([chat(str(n)) for n in range(100)], sampling=Sampling(max_tokens=10))
    assert 0 < priced.usage.cost == pytest.approx(len(server.asked) * (7 + 30) / 1e6)
    assert priced.usage.cost <= 1e-3


def test_half_a_character_can_not_be_sent():
    with asking(lambda _: completion("Yes.")) as (server, model):
        (answer,) = model.complete_many([chat("\ud800")])
    assert (answer.status, len(server.asked)) == ("failed", 0)
    assert "half a character" in answer.reason


def test_scores_are_refused_with_what_could():
    with closing(backend("http://localhost:1/v1")) as made, pytest.raises(Unsupported, match="local file"):
        Chatting(made).score([chat("a")], [["b"]])


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"base_url": "localhost:8080"}, 'base_url is "localhost:8080"'),
        ({"base_url": "http://me:secret@localhost/v1"}, "holds a name or password for localhost"),
        ({"api_key_env": "NOT_THERE_KEY"}, "NOT_THERE_KEY is not set"),
    ],
)
def test_settings_that_can_not_work(settings, said):
    with pytest.raises(ConfigError, match=said) as raised:
        backend(**{"url": settings.pop("base_url", "http://localhost:1/v1")} | settings)
    assert "secret" not in str(raised.value)
