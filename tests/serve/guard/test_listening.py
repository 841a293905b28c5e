import asyncio
import signal
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest
from fastapi import FastAPI

from headrace.contracts.serving import ServeConfig
from headrace.serve.guard.door import Door, Guarded
from headrace.serve.guard.listening import server
from tests.ports import free_port

ASK = b"GET /slow HTTP/1.1\r\nHost: here\r\n\r\n"


@asynccontextmanager
async def listening(took=lambda: asyncio.sleep(0.3), **settings):
    """(the server, its port), of an app whose answers take so long."""
    app, door = FastAPI(), Door()
    app.state.serving = SimpleNamespace(settings=ServeConfig(**settings), door=door)

    @app.get("/slow")
    async def slow() -> str:
        await took()
        return "done"

    app.add_middleware(Guarded, door=door)
    port = free_port()
    made = server(app, "127.0.0.1", port)
    task = asyncio.create_task(made._serve())
    while not made.started:
        await asyncio.sleep(0.01)
    try:
        yield made, port
    finally:
        made.should_exit = True
        await task


async def rest(reader):
    try:
        return await reader.read()
    except ConnectionResetError:  # it was let go while it still sent
        return b""


async def said(reader):
    head = await reader.readuntil(b"\r\n\r\n")
    length = next((int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")), 0)
    return head + await reader.readexactly(length)


def test_who_trickles_headers_is_let_go_and_others_are_not():
    async def tried():
        async with listening(read_s=0.3) as (_, port):
            silent, slow = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
            sent = 0
            while sent < len(ASK) and not slow[0].at_eof():
                slow[1].write(ASK[sent : sent + 1])
                sent += 1
                await asyncio.sleep(0.1)
            left = (await silent[0].read(), await rest(slow[0]))
            fresh = await asyncio.open_connection("127.0.0.1", port)
            answers = []
            for _ in range(2):
                fresh[1].write(ASK)
                answers.append(await said(fresh[0]))
            for _, writer in (silent, slow, fresh):
                writer.close()
            return sent, left, answers

    sent, left, answers = asyncio.run(tried())
    assert left == (b"", b"")
    assert sent < len(ASK), "it was let go before it had said all"
    assert all(b"200 OK" in one and b"done" in one for one in answers), "an answer may take longer than a request"


def test_a_stop_says_so_first_then_shuts_the_door_and_waits_for_those_inside():
    async def tried():
        slow = asyncio.Event()
        async with listening(slow.wait, drain_s=600.0) as (made, port):
            inside, held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
            made.handle_exit(signal.SIGTERM, None)
            states = [made.door.state]
            slow.set()
            held[1].write(ASK)
            while_draining = await said(held[0])
            slow.clear()
            inside[1].write(ASK)
            while not made.server_state.tasks:
                await asyncio.sleep(0.01)
            made._shut_at -= 600.0  # its time has come
            async with asyncio.timeout(60):
                while made.door.state != "shut":
                    await asyncio.sleep(0.01)
            states.append(made.door.state)
            slow.set()
            last = await said(inside[0])
            for _ in range(100):
                try:
                    (await asyncio.open_connection("127.0.0.1", port))[1].close()
                except OSError:
                    break
                await asyncio.sleep(0.05)
            else:
                pytest.fail("it still listens")
            for _, writer in (inside, held):
                writer.close()
            return states, while_draining, last

    states, while_draining, last = asyncio.run(tried())
    assert states == ["draining", "shut"]
    assert b"200 OK" in while_draining
    assert b"done" in last


def test_a_second_signal_or_ctrl_c_does_not_wait():
    for signals in ([signal.SIGTERM, signal.SIGTERM], [signal.SIGINT]):
        app = FastAPI()
        app.state.serving = SimpleNamespace(settings=ServeConfig(), door=Door())
        made = server(app, "127.0.0.1", 0)
        for one in signals:
            made.handle_exit(one, None)
        assert made.should_exit
        assert made.door.state == "shut"
