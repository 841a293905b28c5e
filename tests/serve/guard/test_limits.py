import asyncio
import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.contracts.serving import ServeConfig
from headrace.serve.guard.body import Body, too_deep
from headrace.serve.guard.door import Door, Guarded
from headrace.serve.guard.paced import Buckets, Paced
from headrace.serve.guard.passage import Passage
from headrace.serve.guard.shed import Shed
from headrace.serve.state.lately import Lately, emptied
from tests.serve.guard.asking import ask, asked, echo, scope

JSON = {"content-type": "application/json", "transfer-encoding": "chunked"}
SMALL = Body(echo, ServeConfig(body_mb=0.001, json_depth=4, read_s=600.0))
HASTY = Body(echo, ServeConfig(body_mb=0.001, read_s=0.2))


def test_a_body_that_says_it_is_too_long_is_not_read():
    answer = ask(SMALL, "POST", headers={"content-length": "1001"}, chunks=[])
    assert (answer.status, answer.error["field"], answer.headers["connection"]) == (413, "body", "Close".lower())
    assert ask(SMALL, "POST", headers={"content-length": "1000"}, chunks=[b"x" * 500] * 2).body == b"x" * 1000


def test_one_that_does_not_is_read_until_it_is_too_long():
    assert ask(SMALL, "POST", headers=JSON, chunks=[b"x" * 600] * 1000).status == 413

    async def held() -> int:
        read = 0

        async def receive():
            nonlocal read
            read += 1
            return {"type": "http.request", "body": b"x" * 600, "more_body": True}

        async def send(_):
            pass

        await SMALL(scope("POST", headers=JSON), receive, send)
        return read

    assert asyncio.run(held()) == 2, "an endless body is let go as soon as it is too long"


def test_a_slow_body_is_given_up():
    answer = ask(HASTY, "POST", headers=JSON, chunks=[b"{"] * 100, pause_s=0.05)
    assert (answer.status, answer.error["field"]) == (408, "body")


def test_who_hangs_up_is_not_answered():
    async def receive():
        return {"type": "http.disconnect"}

    sent = []

    async def send(message):
        sent.append(message)

    asyncio.run(SMALL(scope("POST", headers=JSON), receive, send))
    assert not sent


@pytest.mark.parametrize("body", ["[" * 900, '{"a":' * 150, "[{" * 100, "[[[[[]]]]]", '[["]", [[[]]]]]'])
def test_what_is_nested_too_deep_is_refused_before_it_is_parsed(body):
    answer = ask(SMALL, "POST", headers=JSON, chunks=[body.encode()])
    assert (answer.status, answer.error["field"]) == (422, "body")


@pytest.mark.parametrize(
    "body", ["[[[[]]]]", '{"a": "[[[[[[[[[[[["}', '{"a\\"[[[[[[[": "\\\\"}', "[" + '{"a": [1]},' * 50 + "1]"]
)
def test_brackets_in_strings_and_beside_each_other_are_not_depth(body):
    assert ask(SMALL, "POST", headers=JSON, chunks=[body.encode()]).body == body.encode()


def test_other_encodings_do_not_get_round_it():
    for encoding in ("utf-16", "utf-32-le"):
        assert ask(SMALL, "POST", headers=JSON, chunks=[("[" * 100).encode(encoding)]).status == 422


@pytest.mark.parametrize("part", [b'"\\', b'"', b'\\"', b"[]", b"{", b'"a\\'])
def test_looking_for_depth_takes_time_with_the_bytes_not_with_their_square(part):
    began = time.process_time()
    too_deep(part * 500_000, 32)
    assert time.process_time() - began < 30, "of a second at most; with the square it is hours"


def depth_of(value):
    if not isinstance(value, list | dict):
        return 0
    return 1 + max((depth_of(one) for one in (value.values() if isinstance(value, dict) else value)), default=0)


values = st.recursive(
    st.none() | st.text('[]{}"\\ a', max_size=6) | st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('[]{}"\\', max_size=3), inner, max_size=3),
    max_leaves=20,
)


@given(value=values, limit=st.integers(1, 6))
def test_depth_is_the_parser_s(value, limit):
    assert too_deep(json.dumps(value).encode(), limit) == (depth_of(value) > limit)


@pytest.fixture
def lately(tmp_path):
    made = Lately(emptied(tmp_path / "lately"))
    yield made
    made.close()


def test_a_bucket_empties_fills_and_forgets(lately, monkeypatch):
    monkeypatch.setattr("headrace.serve.guard.paced._CALLERS", 100)
    now = [0.0]
    buckets = Buckets(2.0, 3, lately, lambda: now[0])
    assert [buckets.take("a") for _ in range(3)] == [0, 0, 0]
    assert buckets.take("a") == 0.5
    assert buckets.take("b") == 0, "another caller has a bucket of their own"
    now[0] = 0.5
    assert (buckets.take("a"), buckets.take("a")) == (0, 0.5)
    now[0] = 0.1  # a clock that goes back adds nothing
    assert buckets.take("a") > 0
    for _ in range(3):
        buckets.take("last")
    for number in range(140):
        buckets.take(str(number))
    assert buckets.take("last") > 0, "who has used theirs up does not get another for there being many"
    now[0] = 9
    for number in range(1000):
        buckets.take(str(number))
    with lately.reading() as reading:
        assert reading.stat(lately.tables["callers"])["entries"] <= 101


def test_a_limit_holds_for_all_processes_together(lately):
    one, other = (Buckets(1.0, 4, lately, lambda: 0.0) for _ in range(2))
    assert [buckets.take("a") for buckets in (one, other, one, other, one, other)] == [0, 0, 0, 0, 1, 1]


def test_too_many_from_one_caller_are_told_when_to_come_again(lately):
    app = Paced(echo, Buckets(0.5, 1, lately, lambda: 0.0))
    assert ask(app, "POST").status == 200
    answer = ask(app, "POST")
    assert (answer.status, answer.error["field"], answer.headers["retry-after"]) == (429, "rate", "2")
    assert ask(app, "GET", "/healthz").status == 200


def test_as_many_wait_as_may_and_the_rest_are_turned_away_until_one_is_answered():
    async def tried():
        go = asyncio.Event()

        async def slow(of, receive, send):
            await go.wait()
            await echo(of, receive, send)

        app = Shed(slow, 3)
        waiting = [asyncio.create_task(asked(app, scope("POST"))) for _ in range(3)]
        await asyncio.sleep(0)
        turned = [await asked(app, scope("POST")) for _ in range(30)]
        go.set()
        answered = await asyncio.gather(*waiting)
        return answered, turned, await asked(app, scope("POST")), app.inside

    answered, turned, after, inside = asyncio.run(tried())
    assert [one.status for one in (*answered, after)] == [200] * 4
    assert {(one.status, one.headers["retry-after"]) for one in turned} == {(503, "1")}
    assert inside == 0


def test_an_answer_that_fails_leaves_its_place():
    async def fails(*_):
        raise RuntimeError

    app = Shed(fails, 1)
    for _ in range(3):
        with pytest.raises(RuntimeError):
            ask(app, "POST")
    assert app.inside == 0


def test_a_shut_door_turns_away_all_but_those_who_ask_how_it_is():
    door = Door("draining")
    app = Guarded(echo, door)
    assert ask(app, "POST").status == 200
    door.state = "shut"
    answer = ask(app, "POST")
    assert (answer.status, answer.headers["connection"]) == (503, "close")
    assert ask(app, "GET", "/readyz").status == 200
    assert Passage.of(scope()).route == "unknown"
