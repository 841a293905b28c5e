"""Ways to find the items whose vectors have the largest product with a request's, on a build's own vectors and requests.

    python -m benchmarks.lookups RUN [--k 150] [--requests 400]      # RUN: a build with content or two_tower among its retrievers

Each way looks `rescored` k up, compares these exactly and keeps k, so that what it finds has its exact score. CPU milliseconds
are medians of single requests on one thread; MB are what each holds beside the vectors, which lie in a file; recall is the share
of the exact k best that are found, ties counted as found.
"""

import argparse
import os

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}  # read when numpy loads

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import onnx
import torch
from onnx import TensorProto, helper

from benchmarks.record import record
from headrace.cascade.run import open_run
from headrace.contracts.requests import Float32
from headrace.data.prefixes import only_readable
from headrace.data.rank_inputs import user_batch
from headrace.encode.codes import CodesConfig, CodesIndex
from headrace.encode.hnsw import HNSWConfig, HNSWIndex
from headrace.encode.optional import optional
from headrace.nn.item_to_item import chosen
from headrace.nn.topk import top_k

Look = Callable[[Float32, int], Any]
"""A query [d] and how many -> rows."""


def of_content(model: Any, requests: Any) -> tuple[Float32, Float32, Any]:
    past = only_readable(requests.history, model.readable).newest(model.config.history)
    taste = chosen(past, len(model.vectors)) @ model.vectors
    return taste[past.lengths > 0] / past.lengths[past.lengths > 0, None].astype(np.float32), model.vectors, model.proposed


@torch.inference_mode()
def of_towers(model: Any, requests: Any) -> tuple[Float32, Float32, Any]:
    queries = model.eval().user(user_batch(requests, model.schema)).numpy()
    return queries, model.towers.vectors().numpy(), model.available.numpy()


def by_faiss(index: Any, vectors: Float32) -> tuple[Look, int]:
    index.train(vectors[np.random.default_rng(0).permutation(len(vectors))[:20_000]])
    index.add(vectors)
    return lambda query, n: index.search(query[None], n)[1][0], faiss.serialize_index(index).nbytes


def by_int8(vectors: Float32) -> tuple[Look, int]:
    """One scale for all; the query has its own. Products of whole numbers by ONNX Runtime."""
    scale = 127 / np.abs(vectors).max()
    weights = np.ascontiguousarray(np.round(vectors * scale).astype(np.int8).T)
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["query", "items", "zero"], ["scores"])], "products",
        [helper.make_tensor_value_info("query", TensorProto.UINT8, [1, len(weights)])],
        [helper.make_tensor_value_info("scores", TensorProto.INT32, [1, weights.shape[1]])],
        [onnx.numpy_helper.from_array(weights, "items"), onnx.numpy_helper.from_array(np.array(128, np.uint8), "zero")],
    )  # fmt: skip
    onnxruntime = optional("onnxruntime", package="onnxruntime", extra="serve", purpose="int8")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9).SerializeToString()
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def look(query: Float32, n: int) -> Any:
        whole = (np.round(query * (127 / np.abs(query).max())) + 128).astype(np.uint8)
        scores = session.run(None, {"query": whole[None]})[0].astype(np.float32)
        return np.asarray(top_k(scores, n, "product").items[0])

    return look, weights.nbytes


def cpu_ms(work: Callable[[int], object], rounds: int = 300) -> float:
    taken = []
    for number in range(rounds + 20):
        started = time.thread_time()
        work(number)
        taken.append(time.thread_time() - started)
    return round(1000 * float(np.median(taken[20:])), 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--k", type=int, default=150)
    parser.add_argument("--requests", type=int, default=400)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    faiss.omp_set_num_threads(1)
    pipeline = open_run(asked.run)
    requests, _ = pipeline.requests(pipeline.cuts.test_us, 2**62, asked.requests)
    kinds: dict[str, Any] = {"content": of_content, "two_tower": of_towers}
    figures: dict[str, Any] = {"k": asked.k}
    for name in [name for name in kinds if name in pipeline.plan.retrieve.use]:
        queries, everything, may = kinds[name](pipeline.load_retriever(name, final=True), requests)
        vectors = np.ascontiguousarray(everything[may])
        figures[f"{name}, vectors"] = list(vectors.shape)
        for what, value in compared(vectors, np.ascontiguousarray(queries), asked.k):
            figures[f"{name}, {what}"] = value
            print(name, what, value, flush=True)
    record("lookups", figures)


def compared(vectors: Float32, queries: Float32, k: int) -> Any:
    (n, dim), product = vectors.shape, faiss.METRIC_INNER_PRODUCT
    scores = queries @ vectors.T
    least = np.partition(scores, n - k, axis=1)[:, n - k] - 1e-6
    exact = cpu_ms(lambda number: top_k((queries[number % len(queries)] @ vectors.T)[None], k, "product"))
    yield "exact", {"CPU ms": exact}

    def graph() -> tuple[Look, int]:
        index = HNSWIndex(dim, HNSWConfig())
        index.upsert(np.arange(1, n + 1, dtype=np.int32), vectors)
        return lambda query, most: index.search(query[None], most)[0][0] - 1, index.stats()["bytes"]

    def codes() -> tuple[Look, int]:
        index = CodesIndex.over(vectors, np.ones(n, np.bool_), CodesConfig(most=1.0))
        return index._near, sum(values.nbytes for values in index.arrays().values())

    ways: dict[str, tuple[Callable[[], tuple[Look, int]], tuple[int, ...]]] = {
        "codes": (codes, (2, 4, 6, 10)),
        "PQ, a number each 4 bits, not turned": (lambda: by_faiss(faiss.IndexPQFastScan(dim, dim, 4, product), vectors), (6,)),
        "PQ, 4 numbers each 4 bits": (lambda: by_faiss(faiss.IndexPQFastScan(dim, dim // 4, 4, product), vectors), (6, 10)),
        "scalar, 8 bits": (
            lambda: by_faiss(faiss.IndexScalarQuantizer(dim, faiss.ScalarQuantizer.QT_8bit, product), vectors), (2,),
        ),
        "int8 by ONNX Runtime": (lambda: by_int8(vectors), (2,)),
        "hnsw": (graph, (1, 2)),
    }  # fmt: skip
    for what, (make, rescored) in ways.items():
        started = time.process_time()
        look, size = make()
        built, mb = round(time.process_time() - started, 1), round(size / 2**20, 1)
        for times in rescored:

            def found(number: int, look: Look = look, times: int = times) -> Any:
                query = queries[number % len(queries)]
                near = look(query, times * k)
                return near[top_k((vectors[near] @ query)[None], k, "product").items[0]] if len(near) > k else near

            recall = np.mean([(scores[row][found(row)] >= least[row]).sum() / k for row in range(len(queries))])
            yield (
                f"{what}, rescored {times}",
                {"recall": round(float(recall), 4), "CPU ms": cpu_ms(found), "MB": mb, "build CPU s": built},
            )


if __name__ == "__main__":
    main()
