"""ir-measures' ranking metrics of given lists, by trec_eval's code. Runs in its environment. The history is what was right."""

import json
import sys
import time
from typing import Any

started = time.process_time()
import ir_measures  # noqa: E402
import numpy as np  # noqa: E402
from ir_measures import AP, RR, R, Success, nDCG  # noqa: E402

import_s = time.process_time() - started


def main(given: str, settings: dict[str, Any]) -> None:
    log, k = np.load(given), settings["k"]
    lists, offsets, items = log["lists"].tolist(), log["offsets"].tolist(), log["items"].tolist()
    started = time.process_time()
    run = {str(user): {str(item): -slot for slot, item in enumerate(row) if item} for user, row in enumerate(lists)}
    right = {str(user): {str(item): 1 for item in items[offsets[user] : offsets[user + 1]]} for user in range(len(lists))}
    conversion_s = time.process_time() - started
    names = {R @ k: "recall", nDCG @ k: "ndcg", RR @ k: "mrr", AP @ k: "map", Success @ k: "hit_rate"}
    started = time.process_time()
    found = ir_measures.calc_aggregate(list(names), right, run)
    measure_s = time.process_time() - started
    values = {name: float(found[metric]) for metric, name in names.items()}
    print(json.dumps({"import_s": import_s, "conversion_s": conversion_s, "measure_s": measure_s, "values": values}))


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[3]))
