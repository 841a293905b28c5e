"""A server asked in bulk: how many requests are under way, what memory grows with the rows, what a request costs the asker.

    python -m benchmarks.endpoint [--rows 100000] [--concurrency 64] [--part 4096]

The server is a process of its own that answers each chat after 10 ms with one short completion and counts how many it holds at
once. Rows come from a generator, `part` of them in one call, and their answers are dropped, as `headrace annotate` writes and
drops them. Peak memory is read after 10,000 rows and at the end: what lies between grows with the rows. (One call with all rows
would grow by their answers, since it returns them.)
"""

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import resource
import time
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from multiprocessing.connection import Connection
from typing import Any
from urllib.request import urlopen

from benchmarks.record import record
from headrace.contracts.chat import Chat, Message, Sampling
from headrace.llm.chat import Chatting
from headrace.llm.openai_server import OpenAIServer, ServerConfig

HELD_S = 0.01
SETTLED = 10_000
ANSWER = json.dumps(
    {
        "id": "1", "object": "chat.completion", "created": 0, "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": '{"hot": true}'}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 40, "completion_tokens": 6, "total_tokens": 46},
    }
).encode()  # fmt: skip
HOT = {"type": "object", "properties": {"hot": {"type": "boolean"}}, "required": ["hot"], "additionalProperties": False}


def serve(told: Connection) -> None:
    """Sends its port; GET says what it counted."""
    asked = under_way = most = 0

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked, under_way, most
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionResetError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                if head.startswith(b"get "):
                    body = json.dumps({"asked": asked, "most_at_once": most, "cpu_s": time.process_time()}).encode()
                else:
                    under_way += 1
                    asked, most, body = asked + 1, max(most, under_way), ANSWER
                    await reader.readexactly(int(head.split(b"content-length:")[1].split(b"\r\n")[0]))
                    await asyncio.sleep(HELD_S)
                    under_way -= 1
                writer.write(
                    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body) + body
                )
                await writer.drain()
        writer.close()

    async def run() -> None:
        server = await asyncio.start_server(connected, "127.0.0.1", 0)
        told.send(server.sockets[0].getsockname()[1])
        async with server:
            await server.serve_forever()

    asyncio.run(run())


def rows(count: int) -> Iterator[Chat]:
    return ([Message("user", f"Is drink number {place} hot?")] for place in range(count))


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--part", type=int, default=4096)
    of = parser.parse_args()
    ours, its = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(its,), daemon=True)
    process.start()
    port = ours.recv()
    server = OpenAIServer(ServerConfig(base_url=f"http://127.0.0.1:{port}/v1", model="m", concurrency=of.concurrency))
    with closing(server):
        figures: dict[str, Any] = {"rows": of.rows, "concurrency": of.concurrency, "part": of.part, "server_holds_s": HELD_S}
        model = Chatting(server)
        started, cpu, done, settled = time.perf_counter(), time.process_time(), 0, 0.0
        left = rows(of.rows)
        while part := list(islice(left, of.part)):
            answers = model.complete_many(part, HOT, sampling=Sampling(max_tokens=16))
            done += sum(one.parsed == {"hot": True} for one in answers)
            del answers
            if not settled and done >= SETTLED:
                settled = peak_mb()
                figures["peak_mb_at_10k_rows"] = round(settled, 1)
        wall, cpu = time.perf_counter() - started, time.process_time() - cpu
        figures |= {"parsed": done, "peak_mb_grown_since": round(peak_mb() - settled, 1)}
        with urlopen(f"http://127.0.0.1:{port}/", timeout=10) as counted:
            said = json.load(counted)
        figures |= {
            "asked": said["asked"], "most_at_once": said["most_at_once"], "wall_s": round(wall, 1), "cpu_s": round(cpu, 1),
            "server_cpu_s": round(said["cpu_s"], 1), "requests_per_cpu_s": round(done / cpu),
            "requests_per_s": round(done / wall),
        }  # fmt: skip
    print(record("endpoint", figures))
    process.kill()


if __name__ == "__main__":
    main()
