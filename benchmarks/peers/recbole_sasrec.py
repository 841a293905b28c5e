"""RecBole's SASRec with cross-entropy over the catalogue: CPU seconds of each epoch, then the best k unseen items of every user.

Its own augmentation: every prefix of a user's events, cut to its newest length, is a row that foresees one item. Its batch and
defaults stay, but for what SETTINGS names: batches of an epoch, or null for all; fit_on, how many of each user's events are
learned from. Runs in RecBole's environment.
"""

import json
import sys
import time
import warnings
from itertools import islice
from pathlib import Path
from typing import Any

warnings.simplefilter("ignore")

started = time.process_time()
import numpy as np  # noqa: E402
import torch  # noqa: E402
from recbole.config import Config  # type: ignore[import-not-found]  # noqa: E402
from recbole.data import create_dataset  # type: ignore[import-not-found]  # noqa: E402
from recbole.data.dataloader import TrainDataLoader  # type: ignore[import-not-found]  # noqa: E402
from recbole.data.interaction import Interaction  # type: ignore[import-not-found]  # noqa: E402
from recbole.model.sequential_recommender import SASRec  # type: ignore[import-not-found]  # noqa: E402
from recbole.trainer import Trainer  # type: ignore[import-not-found]  # noqa: E402
from recbole.utils import init_seed  # type: ignore[import-not-found]  # noqa: E402

import_s = time.process_time() - started


class Timed(Trainer):  # type: ignore[misc]
    def __init__(self, batches: int | None, *given: Any) -> None:
        super().__init__(*given)
        self.batches, self.cpu_s = batches, list[float]()

    def _train_epoch(self, train_data: Any, *given: Any, **named: Any) -> Any:
        started = time.process_time()
        loss = super()._train_epoch(islice(train_data, self.batches), *given, **named)
        self.cpu_s.append(time.process_time() - started)
        return loss


def config_of(settings: dict[str, Any]) -> Config:
    return Config(
        model="SASRec", dataset="log",
        config_dict={
            "data_path": str(Path.cwd()), "load_col": {"inter": ["user_id", "item_id", "timestamp"]}, "use_gpu": False,
            "MAX_ITEM_LIST_LENGTH": settings["length"], "hidden_size": settings["dim"], "inner_size": 4 * settings["dim"],
            "n_layers": settings["layers"], "n_heads": settings["heads"], "hidden_dropout_prob": settings["dropout"],
            "attn_dropout_prob": settings["dropout"], "learning_rate": settings["learning_rate"], "loss_type": "CE",
            "train_neg_sample_args": None, "epochs": settings["epochs"], "seed": settings["seed"], "show_progress": False,
            "eval_args": {"split": {"RS": [1.0]}, "order": "TO", "group_by": "none", "mode": "full"}, "state": "ERROR",
        },
    )  # fmt: skip


def main(given: str, found: str, settings: dict[str, Any]) -> None:
    torch.set_num_threads(1)
    log, k, length = np.load(given), settings["k"], settings["length"]
    offsets, items, fit_on = log["offsets"], log["items"], np.array(settings["fit_on"])
    users = np.repeat(np.arange(len(fit_on)), np.diff(offsets))
    at = np.arange(len(items)) - offsets[users]
    learned = at < fit_on[users]
    folder = Path("log")
    folder.mkdir()
    rows = np.stack([users, items, at], 1)[learned]
    header = "user_id:token\titem_id:token\ttimestamp:float"
    np.savetxt(folder / "log.inter", rows, fmt="%d", delimiter="\t", header=header, comments="")
    started = time.process_time()
    config = config_of(settings)
    init_seed(settings["seed"], reproducibility=True)
    (dataset,) = create_dataset(config).build()
    batches = TrainDataLoader(config, dataset, None, shuffle=True)
    conversion_s = time.process_time() - started
    model = SASRec(config, batches.dataset)
    trainer = Timed(settings["batches"], config, model)
    trainer.fit(batches, saved=False, verbose=False)
    asked = np.flatnonzero(fit_on)
    number_of = np.zeros(int(log["n_items"]), np.int64)
    own = dataset.field2id_token["item_id"][1:].astype(np.int64)  # its number 0 is padding
    number_of[own] = np.arange(1, len(own) + 1)
    past, lengths = np.zeros((len(asked), length), np.int64), np.zeros(len(asked), np.int64)
    for row, user in enumerate(asked):
        known = number_of[items[offsets[user] : offsets[user + 1]]]
        known = known[known > 0][-length:]
        past[row, : len(known)], lengths[row] = known, len(known)
    started = time.process_time()
    model.eval()
    sequences = {model.ITEM_SEQ: torch.from_numpy(past), model.ITEM_SEQ_LEN: torch.from_numpy(lengths)}
    with torch.inference_mode():
        scores = model.full_sort_predict(Interaction(sequences)).numpy()
    scores[:, 0] = -np.inf
    row_of = np.full(len(fit_on), -1)
    row_of[asked] = np.arange(len(asked))
    kept = row_of[users] >= 0
    scores[row_of[users[kept]], number_of[items[kept]]] = -np.inf
    best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    recommend_s = time.process_time() - started
    np.savez(found, users=asked, items=np.concatenate([[0], own])[best].astype(np.int32))
    batches_run = settings["batches"] or len(batches)
    positions = min(batches_run * config["train_batch_size"], len(dataset))
    (peak,) = (line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    print(
        json.dumps({
            "import_s": import_s, "conversion_s": conversion_s, "epoch_s": trainer.cpu_s, "recommend_s": recommend_s,
            "positions_per_epoch": positions, "peak_mb": int(peak) // 1024,
        })
    )  # fmt: skip


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], json.loads(sys.argv[3]))
