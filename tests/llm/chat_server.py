"""A small real server on 127.0.0.1 that speaks OpenAI's chat completions, in a thread."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


def completion(content, **more):
    """The body of an answer, with usage as servers count it."""
    usage = {"usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}}
    return {"id": "1", "object": "chat.completion", "created": 0, "model": "m", "choices": [
        {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"},
    ]} | usage | more  # fmt: skip


class Server:
    """reply: request body -> object to send as JSON, or (status, headers, bytes), or a function that writes to the handler.

    keeps: what it was asked, for tests to look at."""

    def __init__(self, reply, *, keeps=True):
        self.asked, self.headers, self.most_at_once = list[Any](), list[dict[str, str]](), 0
        self._under_way, lock = 0, threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(handler):
                body = json.loads(handler.rfile.read(int(handler.headers["content-length"])))
                with lock:
                    if keeps:
                        self.asked.append(body)
                        self.headers.append({name.lower(): value for name, value in handler.headers.items()})
                    self._under_way += 1
                    self.most_at_once = max(self.most_at_once, self._under_way)
                ended = False  # before the last byte goes out: whoever has it may ask again before this thread goes on

                def end():
                    nonlocal ended
                    with lock:
                        self._under_way -= not ended
                    ended = True

                try:
                    said = reply(body)
                    if callable(said):
                        return said(handler)
                    end()
                    status, headers, sent = said if isinstance(said, tuple) else (200, {}, json.dumps(said).encode())
                    handler.send_response(status)
                    for name, value in ({"content-type": "application/json", "content-length": str(len(sent))} | headers).items():
                        handler.send_header(name, value)
                    handler.end_headers()
                    handler.wfile.write(sent)
                except (BrokenPipeError, ConnectionResetError):
                    pass  # the client gave up first, as some tests want
                finally:
                    end()

            def log_message(handler, *_):
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self._http.server_address[1]}"
        self.url = f"http://{self.host}/v1"


@contextmanager
def serving(reply, *, keeps=True):
    server = Server(reply, keeps=keeps)
    thread = threading.Thread(target=server._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server._http.shutdown()
        server._http.server_close()
        thread.join()
