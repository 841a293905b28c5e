"""Who asks and does not read: over real connections."""

import asyncio
import time
from contextlib import asynccontextmanager
from types import SimpleNamespace

from fastapi import FastAPI, Response

from headrace.contracts.serving import ServeConfig
from headrace.serve.guard.door import Door
from headrace.serve.guard.listening import server
from headrace.serve.guard.shed import Shed
from tests.ports import free_port

LARGE = 8_000_000  # more than all buffers on its way hold
ASK = b"GET /v1/large HTTP/1.1\r\nHost: here\r\n\r\n"


@asynccontextmanager
async def listening(**settings):
    """Its port, and how many requests are inside."""
    app = FastAPI()
    app.state.serving = SimpleNamespace(settings=ServeConfig(**settings), door=Door())

    @app.get("/v1/large")
    async def large() -> Response:
        return Response(b"x" * LARGE)

    shed = Shed(app, 2)
    shed.state = app.state  # type: ignore[attr-defined]
    port = free_port()
    made = server(shed, "127.0.0.1", port)  # type: ignore[arg-type]
    task = asyncio.create_task(made._serve())
    while not made.started:
        await asyncio.sleep(0.01)
    try:
        yield port, lambda: shed.inside
    finally:
        made.should_exit = True
        await task


async def until(condition, seconds=60.0):
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


def test_who_reads_nothing_gives_its_place_back():
    async def tried():
        async with listening(read_s=0.5) as (port, inside):
            refused = b""
            for _ in range(20):  # again where a busy machine let them go before anybody else had asked
                deaf = [await asyncio.open_connection("127.0.0.1", port, limit=1000) for _ in range(2)]
                for _, writer in deaf:
                    writer.write(ASK * 2)  # the second answer waits for the first one to be read
                await until(lambda: inside() == 2)
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(ASK)
                refused = await reader.readline()
                await until(lambda: inside() == 0)
                if b"503" in refused:
                    break
            writer.write(ASK)
            answered = await reader.readuntil(b"200 OK")
            for _, one in (*deaf, (reader, writer)):
                one.close()
            return refused, answered

    refused, answered = asyncio.run(tried())
    assert b"503" in refused
    assert b"200 OK" in answered


def test_who_reads_slowly_gets_all_of_it():
    """It takes longer than read_s. Tried again where this process itself stood still for that long, as on a busy machine."""

    async def tried():
        async with listening(read_s=1.0) as (port, _):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1000)
            writer.write(ASK)
            await reader.readuntil(b"\r\n\r\n")
            size, began = 0, time.monotonic()
            while part := await reader.read(min(100_000, LARGE - size)):
                size += len(part)
                await asyncio.sleep(0.02)
            writer.close()
            return size, time.monotonic() - began

    size, took_s = next((one for one in (asyncio.run(tried()) for _ in range(5)) if one[0] == LARGE), (0, 0.0))
    assert size == LARGE
    assert took_s > 1.0
