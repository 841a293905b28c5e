"""The same work on Ray: workers with a model each, anywhere in a cluster, and one keeper of the answers where the run began.

    driver: rows, leases, parts        keeper: answers.sqlite, each answer on its disk before a worker goes on
    worker: a chunk and a lease in, its rows and what they took out

Rows go to the workers and come back, so no disk is shared. A worker that dies ends the run; what had arrived is kept.
`pip install 'headrace[ray]'`.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from headrace.contracts.chat import Usage
from headrace.contracts.errors import HeadraceError
from headrace.encode.optional import optional
from headrace.llm.annotation.filling import Outcome, filled
from headrace.llm.annotation.plan import Plan
from headrace.llm.annotation.rows import Chunk
from headrace.llm.annotation.running import Job
from headrace.llm.annotation.work import ANSWERS
from headrace.llm.backend import Backend
from headrace.llm.cache import AnswerCache
from headrace.llm.chosen import opened as opened_model


class Keeper:
    """The cache in a process of its own. Each answer is written as it comes."""

    def __init__(self, path: Path, durable: bool):
        self._cache = AnswerCache(path, durable=durable)

    def get_many(self, keys: list[bytes]) -> Mapping[bytes, Mapping[str, Any]]:
        return self._cache.get_many(keys)

    def put(self, key: bytes, answer: Mapping[str, Any], question: bytes = b"") -> None:
        self._cache.put(key, answer, question)
        self._cache.flush()


class Kept:
    """`Answers` for a worker: the keeper is asked. call: of one of its methods, waited for."""

    def __init__(self, get_many: Any, put: Any, wait: Any):
        self._get_many, self._put, self._wait = get_many, put, wait

    def get_many(self, keys: Iterable[bytes]) -> Mapping[bytes, Mapping[str, Any]]:
        found: Mapping[bytes, Mapping[str, Any]] = self._wait(self._get_many(list(keys)))
        return found

    def put(self, key: bytes, answer: Mapping[str, Any], question: bytes = b"") -> None:
        self._wait(self._put(key, answer, question))

    def flush(self) -> None:
        """Nothing waits here."""


class Worker:
    """Opens its model at the first chunk and keeps it."""

    def __init__(self, plan: Plan, keeper: Any):
        ray = _ray()
        self._plan, self._stack = plan, ExitStack()
        self._answers = Kept(keeper.get_many.remote, keeper.put.remote, ray.get)
        self._backend: Backend | None = None

    def run(self, chunk: Chunk, taken: Usage) -> Outcome | str:
        """A mistake outside our code comes back as its words, without the traceback that Ray would add."""
        try:
            if self._backend is None:
                self._backend = self._stack.enter_context(opened_model(self._plan.model, workers=self._plan.ray.workers))
            return filled(self._plan, self._backend, self._answers, chunk, taken)
        except HeadraceError as error:
            return str(error)


class Workers:
    """The pool: `leases.Pool`."""

    def __init__(self, job: Job):
        self._ray, self._job, of = _ray(), job, job.plan.ray
        self.slots = of.workers
        here = self._ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
            self._ray.get_runtime_context().get_node_id(), soft=False
        )
        keeper = self._ray.remote(Keeper).options(num_cpus=0, scheduling_strategy=here, max_concurrency=1)
        self._keeper = keeper.remote(job.work.folder.resolve() / ANSWERS, job.plan.model.is_paid)
        worker = self._ray.remote(Worker).options(num_cpus=of.cpus, num_gpus=of.gpus)
        self._free = [worker.remote(job.plan, self._keeper) for _ in range(of.workers)]
        self._out: dict[Any, Any] = {}

    def start(self, number: int, taken: Usage) -> None:
        worker = self._free.pop()
        self._out[worker.run.remote(self._job.table.chunk(number), taken)] = worker

    def wait(self) -> Outcome:
        (done, *_), _ = self._ray.wait(list(self._out), num_returns=1)
        self._free.append(self._out.pop(done))
        try:
            said = self._ray.get(done)
        except self._ray.exceptions.RayError as error:
            lost = str(error).splitlines()[0]
            raise HeadraceError(f"A Ray worker was lost: {lost} What had arrived is kept: the same command goes on.") from None
        if isinstance(said, str):
            raise HeadraceError(said)
        outcome: Outcome = said
        return outcome


@contextmanager
def cluster(plan: Plan) -> Iterator[None]:
    """Ray, for as long as the block lasts: the one at the plan's address, or one of this machine's."""
    ray = _ray()
    of = plan.ray
    own = {} if of.address else {"num_cpus": max(1, round(of.workers * of.cpus)), "include_dashboard": False}
    try:
        ray.init(address=of.address or "local", log_to_driver=False, logging_level="error", **own)
    except Exception as error:  # its own classes, and some that have none
        where = f"reached at {of.address}" if of.address else "started here"
        raise HeadraceError(f"Ray can't be {where}: {error}") from None
    try:
        yield
    finally:
        ray.shutdown()


def _ray() -> Any:
    return optional("ray", package="ray", extra="ray", purpose="headrace annotate --ray")
