"""An annotation from its plan to its files: what `headrace annotate` does.

    rows copied and checked -> chunks that have no part yet: asked, written -> parts joined, renamed to out, summary beside it

Killed anywhere, the same call goes on: parts that are there are not asked again, and in the chunk that was in work every answer
that had arrived is in the cache. Limits are of the work folder, whichever run asked; delete it to begin from nothing.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl

from headrace import __version__
from headrace.artifacts.at_work import at_work
from headrace.artifacts.atomic import place
from headrace.contracts.chat import BudgetReached, Usage
from headrace.contracts.progress import Progress, both, silent
from headrace.llm.annotation import rows, turns
from headrace.llm.annotation.filling import Outcome, filled
from headrace.llm.annotation.leases import Pool, dispatched
from headrace.llm.annotation.plan import STATUS, Plan
from headrace.llm.annotation.rows import Rows
from headrace.llm.annotation.tally import Pulse
from headrace.llm.annotation.turns import Turns
from headrace.llm.annotation.work import ANSWERS, Work, alone
from headrace.llm.backend import Backend
from headrace.llm.cache import AnswerCache
from headrace.llm.chosen import opened as opened_model

Table = Rows | Turns


@dataclass(frozen=True)
class Job:
    """All that is open while rows are asked. told: what a reader should know before it begins."""

    plan: Plan
    backend: Backend
    cache: AnswerCache
    work: Work
    table: Table
    data: str

    @property
    def told(self) -> str:
        if not self.work.differs:
            return ""
        return (
            f"{self.work.folder} has a run that was not finished and had other settings ({self.work.differs}): this one begins "
            "anew. Questions that are the same are answered from there."
        )


class Here:
    """The pool of this process: one chunk at a time."""

    slots = 1

    def __init__(self, job: Job, pulse: Pulse):
        self._job, self._pulse = job, pulse

    def start(self, number: int, taken: Usage) -> None:
        self._next = number, taken

    def wait(self) -> Outcome:
        (number, taken), job = self._next, self._job
        return filled(job.plan, job.backend, job.cache, job.table.chunk(number), taken, self._pulse.heard)


@contextmanager
def opened(plan: Plan, backend: Backend | None = None) -> Iterator[Job]:
    """backend: instead of the plan's; it is not closed."""
    source = rows.opened(plan)
    with alone(plan.out) as folder:
        data = rows.digest_of(source.files)
        with _given(backend) if backend else opened_model(plan.model) as chosen:
            work = Work(plan.out, plan.identity(chosen.id, data))
            if not work.rows.exists():
                (turns.copied_turns if plan.rows.kind == "conversations" else rows.copied)(plan, source, work.rows)
            table = (Turns if plan.rows.kind == "conversations" else Rows)(plan, work.rows)
            with AnswerCache(folder / ANSWERS, durable=backend is None and plan.model.is_paid) as cache:
                yield Job(plan, chosen, cache, work, table, data)


def annotate(
    plan: Plan, backend: Backend | None = None, *, progress: Progress = silent, tell: Callable[[str], None] | None = None,
    pool: Callable[[Job], Pool] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """The summary, as it is written. pool: of workers elsewhere; else this process asks."""
    with opened(plan, backend) as job:
        if tell and job.told:
            tell(job.told)
        return run(job, progress, pool)


def run(job: Job, progress: Progress = silent, pool: Callable[[Job], Pool] | None = None) -> dict[str, Any]:
    """It is told in the work folder too, for whoever looks from another process."""
    told = at_work(job.work.folder)
    with told.stage(f"annotate {job.plan.out.name}"):
        return _asked(job, both(told, progress), pool)


def _asked(job: Job, progress: Progress, pool: Callable[[Job], Pool] | None) -> dict[str, Any]:
    table, work, used = job.table, job.work, Usage()
    missing = work.missing(table.chunks)
    spent = job.cache.spent()
    pulse = Pulse(progress, table.rows, table.rows - sum(map(table.size, missing)), spent)
    try:
        for done in dispatched(missing, pool(job) if pool else Here(job, pulse), job.plan.limits, spent):
            assert done.frame is not None
            work.put(done.number, done.frame)
            used += done.usage
            if pool:
                pulse.add(len(done.frame), done.usage)
    except BudgetReached as error:
        raise BudgetReached(f"{error}\n{_how_to_go_on(job)}") from None
    work.join(table.chunks)
    summary = _summary(job, used)
    place(summary_of(job.plan.out), json.dumps(summary, indent=1) + "\n")
    return summary


def summary_of(out: Path) -> Path:
    return out.with_suffix(".json")


def _summary(job: Job, used: Usage) -> dict[str, Any]:
    counts = dict(pl.scan_parquet(job.plan.out).group_by(STATUS).len().collect().iter_rows())
    total, spent = job.table.rows, job.cache.spent()
    return {
        "rows": total, **{status: counts.get(status, 0) for status in ("parsed", "unparsed", "failed")},
        "unparsed_rate": counts.get("unparsed", 0) / total, "usage": asdict(used),
        "spent": {name: getattr(spent, name) for name in ("calls", "prompt_tokens", "completion_tokens", "cost")},
        "model": job.backend.id, "prompt": job.plan.prompt.id, "data": job.data, "settings": job.work.key,
        "headrace": __version__,
    }  # fmt: skip


def _how_to_go_on(job: Job) -> str:
    missing = sum(map(job.table.size, job.work.missing(job.table.chunks)))
    return (
        f"{job.table.rows - missing:,} of {job.table.rows:,} rows are written and {job.cache.rows:,} answers kept in "
        f"{job.work.folder}. Raise what ended under [limits] and run the same command: none of them is asked again."
    )


@contextmanager
def _given(backend: Backend) -> Iterator[Backend]:
    yield backend
