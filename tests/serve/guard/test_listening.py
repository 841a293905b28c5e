import asyncio
import signal
import socket
import time
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest
from fastapi import FastAPI

from headrace.contracts.serving import ServeConfig
from headrace.serve.guard.door import Door, Guarded
from headrace.serve.guard.listening import server

ASK = b"GET /slow HTTP/1.1\r\nHost: here\r\n\r\n"


@asynccontextmanager
async def listening(**settings):
    """(the server, its port), of an app whose answers take 0.3 s."""
    app, door = FastAPI(), Door()
    app.state.serving = SimpleNamespace(settings=ServeConfig(**settings), door=door)

    @app.get("/slow")
    async def slow() -> str:
        await asyncio.sleep(0.3)
        return "done"

    app.add_middleware(Guarded, door=door)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
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
            silent, slow, steady = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
            began = time.monotonic()
            for byte in ASK:
                slow[1].write(bytes([byte]))
                await asyncio.sleep(0.1)
                if slow[0].at_eof():
                    break
            gave_up = time.monotonic() - began
            left = (await silent[0].read(), await rest(slow[0]))
            fresh = await asyncio.open_connection("127.0.0.1", port)
            answers = []
            for _ in range(2):
                fresh[1].write(ASK)
                answers.append(await said(fresh[0]))
            for _, writer in (silent, slow, steady, fresh):
                writer.close()
            return gave_up, left, answers

    gave_up, left, answers = asyncio.run(tried())
    assert left == (b"", b"")
    assert gave_up < 2, "all of it takes 3.5 s"
    assert all(b"200 OK" in one and b"done" in one for one in answers), "an answer may take longer than a request"


def test_a_stop_says_so_first_then_shuts_the_door_and_waits_for_those_inside():
    async def tried():
        async with listening(drain_s=0.4) as (made, port):
            inside, held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
            made.handle_exit(signal.SIGTERM, None)
            states = [made.door.state]
            held[1].write(ASK)
            while_draining = await said(held[0])
            inside[1].write(ASK)
            while made.door.state != "shut":
                await asyncio.sleep(0.01)
            states.append(made.door.state)
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
