"""RecTools' EASE: fit, then the best k unseen items of every user. Runs in RecTools' environment."""

import json
import sys
import time
import warnings

started = time.process_time()
import numpy as np  # noqa: E402
import pandas as pd  # type: ignore[import-untyped,import-not-found,unused-ignore]  # noqa: E402
from rectools.dataset import Dataset  # type: ignore[import-not-found]  # noqa: E402
from rectools.models import EASEModel  # type: ignore[import-not-found]  # noqa: E402

import_s = time.process_time() - started


def main(given: str, found: str, settings: dict[str, float]) -> None:
    log, k = np.load(given), int(settings["k"])
    started = time.process_time()
    lengths = np.diff(log["offsets"])
    place = np.arange(len(log["items"]))
    rows = pd.DataFrame({
        "user_id": np.repeat(np.arange(len(lengths)), lengths), "item_id": log["items"], "weight": 1.0,
        "datetime": pd.to_datetime(place, unit="s"),
    })  # fmt: skip
    dataset = Dataset.construct(rows)
    users = np.flatnonzero(lengths)
    conversion_s = time.process_time() - started
    for _ in range(2):  # the first warms caches and the allocator
        model = EASEModel(regularization=settings["l2"], recommend_n_threads=1)
        started = time.process_time()
        model.fit(dataset)
        fit_s = time.process_time() - started
        started = time.process_time()
        best = model.recommend(users, dataset, k=k, filter_viewed=True)
        recommend_s = time.process_time() - started
    lists = np.zeros((len(users), k), np.int32)
    lists[np.searchsorted(users, best["user_id"]), best["rank"] - 1] = best["item_id"]
    np.savez(found, users=users, items=lists)
    print(json.dumps({"import_s": import_s, "conversion_s": conversion_s, "fit_s": fit_s, "recommend_s": recommend_s}))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(sys.argv[1], sys.argv[2], json.loads(sys.argv[3]))
