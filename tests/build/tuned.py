"""A small adapter, trained in a process that is killed now and then. Started by test_tuning.py.

python -m tests.build.tuned FOLDER STEP STEP ...: a run that is killed after each of these steps, of those it has then come to.
"""

import os
import signal
import sys
from pathlib import Path

import peft  # noqa: F401 - takes seconds to load, and an optimizer loads the next one when it is made: here once for all
import torch._dynamo  # noqa: F401

from headrace.artifacts.store import Store
from headrace.build.graph import Graph
from headrace.build.tuning import tune
from headrace.contracts.chat import Message
from headrace.contracts.training import TrainConfig
from headrace.llm.lora import LoraConfig
from headrace.methods.align.sft import SftConfig
from headrace.testing.tiny_llama import tiny

SAID = {"tea": "hot", "ice": "no", "milk": "no", "rain": "no", "coffee": "hot", "snow": "no"}
CHATS = [[Message("user", f"Is {what} hot?"), Message("assistant", said)] for what, said in SAID.items()]
SETTINGS = SftConfig(
    lora=LoraConfig(rank=2, dropout=0.1), length=64, rows=1,
    train=TrainConfig(
        epochs=2, learning_rate=0.01, schedule="linear", warmup_steps=2, device="cpu", checkpoint_every_steps=1,
    ),
)  # fmt: skip


def run(folder, *, die_at=None):
    def progress(what, done, total, note=""):
        if die_at is not None and done >= die_at:
            os.kill(os.getpid(), signal.SIGKILL)

    return tune(Graph(Store(folder), progress), tiny(), CHATS, SETTINGS, seed=3)


def main():
    folder, ended = Path(sys.argv[1]), []
    for step in sys.argv[2:]:
        child = os.fork()
        if child == 0:
            run(folder, die_at=int(step))
            os._exit(0)
        ended.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    sys.stdout.write(" ".join(map(str, ended)))


if __name__ == "__main__":
    main()
