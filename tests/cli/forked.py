"""The command line in processes of its own, started up once: a parent that has loaded torch forks for each call."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

# Polars is not loaded in the parent: its threads would not be there after a fork.
_PARENT = """
import json, os, resource, sys, traceback
import numpy, pydantic, rich.progress, torch, typer
for line in sys.stdin:
    children = []
    for words, folder, largest in json.loads(line):
        reads, writes = os.pipe()
        child = os.fork()
        if not child:
            os.dup2(writes, 1)
            os.dup2(writes, 2)
            os.chdir(folder)
            sys.argv = ["headrace", *words]
            if largest:
                resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))
            code = 1
            try:
                from headrace.cli.main import run
                run()
            except SystemExit as stop:
                code = stop.code or 0
            except BaseException:
                traceback.print_exc()
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
        os.close(writes)
        children.append((child, reads))
    said = [open(reads, errors="replace").read() for _, reads in children]
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child, _ in children]
    print(json.dumps(list(zip(codes, said))), flush=True)
"""


class Ran(NamedTuple):
    """said: standard output and error, as they came."""

    code: int
    said: str


class Forked:
    def __init__(self) -> None:
        environment = {**os.environ, "COLUMNS": "200"}
        parent = [sys.executable, "-c", _PARENT]
        self.parent = subprocess.Popen(parent, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)

    def __call__(self, *words: str, cwd: Path, largest: int = 0) -> Ran:
        """largest: bytes that a file may have, as on a disk that fills up; 0 for no limit."""
        return self.at_once([words], cwd=cwd, largest=largest)[0]

    def at_once(self, calls: Sequence[Sequence[str]], *, cwd: Path, largest: int = 0) -> list[Ran]:
        assert self.parent.stdin is not None
        assert self.parent.stdout is not None
        print(json.dumps([[words, str(cwd), largest] for words in calls]), file=self.parent.stdin, flush=True)
        return [Ran(*one) for one in json.loads(self.parent.stdout.readline())]

    def close(self) -> None:
        assert self.parent.stdin is not None
        self.parent.stdin.close()
        self.parent.wait()
        if self.parent.stdout is not None:
            self.parent.stdout.close()
