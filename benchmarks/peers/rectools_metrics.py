"""RecTools' ranking metrics of given lists. Runs in RecTools' environment. The history is what was right."""

import json
import sys
import time
import warnings
from typing import Any

started = time.process_time()
import numpy as np  # noqa: E402
import pandas as pd  # type: ignore[import-untyped,import-not-found,unused-ignore]  # noqa: E402
from rectools.metrics import MAP, MRR, NDCG, HitRate, Recall, calc_metrics  # type: ignore[import-not-found]  # noqa: E402

import_s = time.process_time() - started


def main(given: str, settings: dict[str, Any]) -> None:
    log, k = np.load(given), settings["k"]
    lists, offsets = log["lists"], log["offsets"]
    started = time.process_time()
    users = np.arange(len(lists))
    row, slot = np.nonzero(lists)
    answered = pd.DataFrame({"user_id": row, "item_id": lists[row, slot], "rank": slot + 1})
    right = pd.DataFrame({"user_id": np.repeat(users, np.diff(offsets)), "item_id": log["items"], "weight": 1.0})
    right["datetime"] = pd.Timestamp("2026-01-01")
    conversion_s = time.process_time() - started
    metrics = {
        "recall": Recall(k), "ndcg": NDCG(k, divide_by_achievable=True), "mrr": MRR(k), "map": MAP(k), "hit_rate": HitRate(k),
    }  # fmt: skip
    calc_metrics(metrics, answered.head(10 * k), right)  # the first call warms up
    started = time.process_time()
    found = calc_metrics(metrics, answered, right)
    measure_s = time.process_time() - started
    values = {name: float(value) for name, value in found.items()}
    print(json.dumps({"import_s": import_s, "conversion_s": conversion_s, "measure_s": measure_s, "values": values}))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(sys.argv[1], json.loads(sys.argv[3]))
