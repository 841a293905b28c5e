"""A server that says its port: `python -m tests.serve.growing RUN [leak]`. leak: it holds on to every page that it gave."""

import sys
from pathlib import Path

import pytest

from headrace.contracts.serving import ServeConfig
from headrace.serve.app import create_app
from headrace.serve.guard.listening import server
from headrace.serve.service import Service
from tests.ports import free_port


def main(run: Path, *, leak: bool) -> None:
    if leak:
        held, recommend = [], Service.recommend

        def holding(self, *asked, **more):
            held.append(recommend(self, *asked, **more))
            return held[-1]

        pytest.MonkeyPatch().setattr(Service, "recommend", holding)
    port = free_port()

    def say() -> None:
        sys.stdout.write(f"{port}\n")
        sys.stdout.flush()

    # logs are written soon, so that nothing waits for a file when it is weighed
    app = create_app(run, ServeConfig(runtime="torch", rotate_s=0.1, drain_s=0.0, recent=100_000))
    server(app, "127.0.0.1", port, listening=say).run()


if __name__ == "__main__":
    main(Path(sys.argv[1]), leak=len(sys.argv) > 2)
