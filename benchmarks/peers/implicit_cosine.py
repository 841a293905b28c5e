"""implicit's cosine item neighbours: fit, then the best k unseen items of every user. Runs in implicit's environment."""

import json
import sys
import time

started = time.process_time()
import implicit.nearest_neighbours as neighbours  # type: ignore[import-not-found]  # noqa: E402
import numpy as np  # noqa: E402
from scipy import sparse  # noqa: E402

import_s = time.process_time() - started


def main(given: str, found: str, settings: dict[str, int]) -> None:
    log = np.load(given)
    offsets, items, n_items = log["offsets"], log["items"], int(log["n_items"])
    started = time.process_time()
    ones = np.ones(len(items), np.float32)
    matrix = sparse.csr_matrix((ones, items, offsets), shape=(len(offsets) - 1, n_items))
    matrix.sort_indices()
    users = np.flatnonzero(np.diff(offsets))
    asked = matrix[users]
    conversion_s = time.process_time() - started
    for _ in range(2):  # the first warms caches and the allocator
        # an item counts among its own neighbours here: one more, for as many others
        model = neighbours.CosineRecommender(K=settings["neighbours"] + 1, num_threads=1)
        started = time.process_time()
        model.fit(matrix, show_progress=False)
        fit_s = time.process_time() - started
        started = time.process_time()
        best, _ = model.recommend(users, asked, N=settings["k"], filter_already_liked_items=True)
        recommend_s = time.process_time() - started
    np.savez(found, users=users, items=np.maximum(best, 0).astype(np.int32))
    print(json.dumps({"import_s": import_s, "conversion_s": conversion_s, "fit_s": fit_s, "recommend_s": recommend_s}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], json.loads(sys.argv[3]))
