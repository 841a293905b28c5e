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
from headrace.contracts.training import TrainConfig
from headrace.train.trainer import train
from tests.train.small import Passing, Rows, learned, model_of, weights

PLACES = ("batch", "progress", "saving")
STEPS = {1: 55, 3: 75}
"""Steps between checkpoints -> steps of the unbroken run, until it stops early."""


GROWN = {
    "optimizer": "apollo", "optimizer_settings": {"rank": 2, "refresh_every": 10}, "schedule": "cosine", "warmup_steps": 5,
    "ema_decay": 0.9, "keep_ema": True,
}  # fmt: skip
"""What the second way is trained with besides."""


def kills(every_steps):
    """(step, place), in the order in which the run comes by them: one in each third."""
    draw = rng(0, "kills", every_steps)
    whole = STEPS[every_steps]
    steps = [int(draw.integers(third * whole // 3, (third + 1) * whole // 3)) for third in range(3)]
    return list(zip(steps, draw.permutation(PLACES).tolist(), strict=True))


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def run(folder, every_steps, step=None, place=None):
    model = model_of()

    def progress(what, done, total, note=""):
        if place == "progress" and done >= step:
            die()
        if place == "saving" and done >= step:
            setattr(os, "replace", lambda *paths: die())  # noqa: B010 - the checkpoint is whole, and not yet in place

    grown: dict[str, Any] = GROWN if every_steps == 3 else {}
    config = TrainConfig(
        epochs=30, patience=2, learning_rate=0.05, weight_decay=0.01, device="cpu", checkpoint_every_steps=every_steps, **grown
    )
    result = train(
        learned(model, Rows(stop_at=step if place == "batch" else None, stop=die)),
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
