"""Several processes of this machine that train together, for tests and recipes; a cluster has torchrun for that.

    found = together(run, 8, settings)         run(settings) in each of 8 processes, which find a process group open

Torch is loaded once, in a server that each process is forked from. What a process returns, or the error it ends in, comes back;
when one fails the others are ended.
"""

import multiprocessing
import os
import tempfile
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from headrace.contracts.errors import HeadraceError


def together(run: Callable[..., Any], processes: int, *given: Any) -> list[Any]:
    """run: a function of a module, by name; what it is given and what it returns are sent. Results in the order of ranks."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, run.__module__, "torch", "torch.distributed.pipelining"])
    with tempfile.TemporaryDirectory() as folder:
        pipes = [context.Pipe(duplex=False) for _ in range(processes)]
        started = [
            context.Process(target=_child, args=(sends, folder, rank, processes, run, given), daemon=True)
            for rank, (_, sends) in enumerate(pipes)
        ]
        for one in started:
            one.start()
        for _, sends in pipes:
            sends.close()
        try:
            return _answers([reads for reads, _ in pipes])
        finally:
            for one in started:
                one.terminate()
                one.join()


def _answers(reads: list[Connection]) -> list[Any]:
    found: dict[int, Any] = {}
    while len(found) < len(reads):
        for ready in wait([one for rank, one in enumerate(reads) if rank not in found]):
            rank = next(number for number, one in enumerate(reads) if one is ready)
            try:
                found[rank], error = reads[rank].recv()
            except EOFError:
                error = HeadraceError(f"process {rank} of {len(reads)} ended without an answer.")
            if error is not None:
                raise error
    return [found[rank] for rank in range(len(reads))]


def _child(sends: Connection, folder: str, rank: int, processes: int, run: Callable[..., Any], given: tuple[Any, ...]) -> None:
    import torch
    from torch import distributed

    torch.set_num_threads(1)
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    try:
        meet = f"file://{Path(folder) / 'store'}"
        distributed.init_process_group("gloo", init_method=meet, rank=rank, world_size=processes)
        sends.send((run(*given), None))
        distributed.destroy_process_group()
    except BaseException as error:
        sends.send((None, error))
