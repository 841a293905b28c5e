"""A run that is killed again and again, each time in a process of its own. Started by test_resume.py.

python -m tests.train.killed FOLDER: for each way of saving, what an unbroken run and a much-killed one end in.
"""

import os
import signal
import sys
from pathlib import Path
from typing import Any

import torch._dynamo  # noqa: F401 - an optimizer loads it when it is made; here once for all processes

from headrace.contracts.rng import rng
from headrace.contracts.seams import Stream
from headrace.contracts.training import TrainConfig
from headrace.train.trainer import train
from tests.train.small import Passing, Rows, Squared, learned, model_of, weights

PLACES = ("batch", "progress", "saving")
ENDS = {1: (55, 11), 3: (32, 8)}
"""Steps between checkpoints -> steps and epochs of the unbroken run, until it stops early."""


GROWN = {
    "learning_rate": 0.3, "optimizer": "apollo", "optimizer_settings": {"rank": 2, "refresh_every": 10},
    "schedule": "cosine", "warmup_steps": 5, "ema_decay": 0.9, "keep_ema": True, "accumulate": 2, "ramp_steps": 20,
}  # fmt: skip
"""What the second way is trained with besides, and two streams."""


def kills(every_steps):
    """(batch, place), in the order in which the run comes by them: one in each third."""
    draw = rng(0, "kills", every_steps)
    whole = 5 * ENDS[every_steps][1]
    batches = [int(draw.integers(third * whole // 3, (third + 1) * whole // 3)) for third in range(3)]
    return list(zip(batches, draw.permutation(PLACES).tolist(), strict=True))


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def run(folder, every_steps, batch=None, place=None):
    model = model_of()

    def progress(what, done, total, note=""):
        if place == "progress" and done >= batch:
            die()
        if place == "saving" and done >= batch:
            setattr(os, "replace", lambda *paths: die())  # noqa: B010 - the checkpoint is whole, and not yet in place

    grown: dict[str, Any] = GROWN if every_steps == 3 else {}
    config = TrainConfig(
        epochs=30, patience=2, weight_decay=0.01, device="cpu", checkpoint_every_steps=every_steps,
        **{"learning_rate": 0.05} | grown,
    )  # fmt: skip
    own = {"text": Rows((2, 1, 3)), "bits": Rows((5, 1))} if grown else {}
    streams = [Stream(name, [Squared(noise=0.2, name=name)], rows) for name, rows in own.items()]
    result = train(
        learned(model, Rows(stop_at=batch if place == "batch" else None, stop=die), streams=streams),
        config,
        seed=7, run="a", validate=Passing(model), checkpoint_path=folder / "checkpoint.safetensors", progress=progress,
    )  # fmt: skip
    weights(model).numpy().tofile(folder / "weights.bin")
    (folder / "result.txt").write_text(f"{result.steps} {result.epochs} {result.best_value!r} {result.curve}")


def in_a_process(*arguments):
    """The signal that ended it, or 0. Forked before any tensor is made, so torch is loaded once for all of them."""
    child = os.fork()
    if child == 0:
        run(*arguments)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main():
    for every_steps in (1, 3):
        straight, killed = (Path(sys.argv[1]) / f"{way}-{every_steps}" for way in ("straight", "killed"))
        straight.mkdir()
        killed.mkdir()
        ended = [in_a_process(straight, every_steps)]
        ended += [in_a_process(killed, every_steps, *kill) for kill in kills(every_steps)]
        ended.append(in_a_process(killed, every_steps))
        sys.stdout.write(f"{' '.join(map(str, ended))}\n")


if __name__ == "__main__":
    main()
