"""RecTools' SASRec with a full softmax: CPU seconds of each epoch, then the best k unseen items of every user.

A user's newest length + 1 events are one row an epoch, so a long history's older events are never trained on. Runs in RecTools'
environment. SETTINGS names fit_on, how many of each user's events are learned from; all are read when it is asked.
"""

import json
import sys
import time
import warnings
from pathlib import Path
from typing import Any

started = time.process_time()
import numpy as np  # noqa: E402
import pandas as pd  # type: ignore[import-untyped,import-not-found,unused-ignore]  # noqa: E402
import torch  # noqa: E402
from pytorch_lightning import Callback, Trainer, seed_everything  # type: ignore[import-not-found]  # noqa: E402
from rectools.dataset import Dataset  # type: ignore[import-not-found]  # noqa: E402
from rectools.models import SASRecModel  # type: ignore[import-not-found]  # noqa: E402

import_s = time.process_time() - started


class Epochs(Callback):  # type: ignore[misc]
    def __init__(self) -> None:
        self.cpu_s: list[float] = []

    def on_train_epoch_start(self, trainer: Any, module: Any) -> None:
        self.cpu_s.append(-time.process_time())

    def on_train_epoch_end(self, trainer: Any, module: Any) -> None:
        self.cpu_s[-1] += time.process_time()


def main(given: str, found: str, settings: dict[str, Any]) -> None:
    torch.set_num_threads(1)
    seed_everything(settings["seed"])
    log, k, epochs = np.load(given), settings["k"], Epochs()

    def trainer() -> Trainer:
        return Trainer(
            max_epochs=settings["epochs"], min_epochs=settings["epochs"], logger=False, enable_checkpointing=False,
            enable_progress_bar=False, enable_model_summary=False, accelerator="cpu", devices=1, callbacks=[epochs],
        )  # fmt: skip

    started = time.process_time()
    lengths = np.diff(log["offsets"])
    rows = pd.DataFrame({
        "user_id": np.repeat(np.arange(len(lengths)), lengths), "item_id": log["items"], "weight": 1.0,
        "datetime": pd.to_datetime(np.arange(len(log["items"])), unit="s"),  # the order they are given in
    })  # fmt: skip
    learned = rows.groupby("user_id").cumcount().to_numpy() < np.repeat(settings["fit_on"], lengths)
    learned_from, dataset = Dataset.construct(rows[learned]), Dataset.construct(rows)
    users = np.flatnonzero(lengths)
    conversion_s = time.process_time() - started
    model = SASRecModel(
        n_blocks=settings["layers"], n_heads=settings["heads"], n_factors=settings["dim"], session_max_len=settings["length"],
        dropout_rate=settings["dropout"], batch_size=settings["batch_size"], lr=settings["learning_rate"], loss="softmax",
        epochs=settings["epochs"], get_trainer_func=trainer, recommend_torch_device="cpu",
    )  # fmt: skip
    model.fit(learned_from)
    # the trainer that fits is a copy of the one that was made, and so are its callbacks
    epoch_s = next(one for one in model.fit_trainer.callbacks if isinstance(one, Epochs)).cpu_s
    started = time.process_time()
    best = model.recommend(users, dataset, k=k, filter_viewed=True)
    recommend_s = time.process_time() - started
    lists = np.zeros((len(users), k), np.int32)
    lists[np.searchsorted(users, best["user_id"]), best["rank"] - 1] = best["item_id"]
    np.savez(found, users=users, items=lists)
    positions = int(np.minimum(np.array(settings["fit_on"]) - 1, settings["length"]).clip(0).sum())
    (peak,) = (line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    figures = {"import_s": import_s, "conversion_s": conversion_s, "epoch_s": epoch_s, "recommend_s": recommend_s}
    print(json.dumps({**figures, "positions_per_epoch": positions, "peak_mb": int(peak) // 1024}))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(sys.argv[1], sys.argv[2], json.loads(sys.argv[3]))
