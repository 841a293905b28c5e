"""A whole build: from a TOML to a generation, its report and one answer, all in one folder.

store/        every artifact, by kind and key
plan.json     what was asked for, so that the folder can be opened without the TOML
report.json   every figure; report.html shows them
timings.json  what is measured of this machine, which the same plan does not give twice; report.html shows it too
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path

import numpy as np

from headrace.artifacts.atomic import place
from headrace.artifacts.store import Store
from headrace.build.graph import Graph
from headrace.cascade.answers import Answered, answer
from headrace.cascade.codes_in_words import CodesInWords
from headrace.cascade.evaluation import Measured, evaluate_cascade
from headrace.cascade.foundation_section import NEED, upstream_files
from headrace.cascade.pipeline import Pipeline
from headrace.cascade.plan import Plan, plan_from, read_toml
from headrace.cascade.user_state import with_timings
from headrace.contracts.errors import no_build
from headrace.contracts.progress import Progress, silent
from headrace.data import datasets
from headrace.data.consent import Impersonal
from headrace.data.settings import TABLES, DataConfig, check_sources
from headrace.data.sources import found_files
from headrace.evaluate.report import html_report, write_json


@dataclass(frozen=True)
class Built:
    """One build's outcome. made, reused: stages worked out now, and those found."""

    measured: Measured
    user: str
    page: list[Answered]
    made: list[str]
    reused: list[str]


def planned(toml: Path, folder: Path, progress: Progress = silent) -> Pipeline:
    """The pipeline of a TOML, nothing worked out yet."""
    values = read_toml(toml)
    plan = plan_from(values, where=str(toml), folder=toml.parent)
    sources = sources_of(plan)
    kept = {"toml": values, "where": str(toml), "folder": str(toml.parent.resolve()), "sources": sources}
    place(folder / "plan.json", json.dumps(kept, indent=1, default=str))
    return Pipeline(plan, Graph(Store(folder / "store"), progress), sources)


def build(toml: Path, folder: Path, *, name: str, progress: Progress = silent) -> Built:
    """Work the plan through; what an earlier run of the same plan on the same data made is taken from its store."""
    pipeline = planned(toml, folder, progress)
    measured = evaluate_cascade(pipeline)
    user = _somebody(pipeline)
    page = recommend(pipeline, user, seed=pipeline.plan.seed)
    facts = {"name": name, **measured.facts}
    write_json(folder / "report.json", measured.rows, facts)
    shown = [one.as_dict() for one in page]
    title = f"{name}: evaluation"
    place(folder / "timings.json", json.dumps(measured.timings, indent=1))
    html = html_report(
        measured.rows, with_timings(facts, measured.timings), title=title, answer=shown, recall_lost=measured.losses,
        curves=measured.curves,
    )  # fmt: skip
    place(folder / "report.html", html)
    return Built(measured, user, page, pipeline.graph.made, pipeline.graph.reused)


def open_run(folder: Path, *, read_only: bool = True, as_built: bool = False) -> Pipeline:
    """The pipeline of a finished build, every stage found in its store; one that is not there is an error that names it.

    read_only=False: it is worked out instead, as `headrace build` would. as_built: see `Graph`.
    """
    path = folder / "plan.json"
    if not path.is_file():
        raise no_build(folder)
    kept = json.loads(path.read_text())
    plan = plan_from(kept["toml"], where=kept["where"], folder=Path(kept["folder"]))
    return Pipeline(plan, Graph(Store(folder / "store"), read_only=read_only, as_built=as_built), kept["sources"])


def recommend(
    pipeline: Pipeline, user_id: str, *, seed: int = 0, preference: str | None = None, codes: bool = False
) -> list[Answered]:
    """A page for one user as of the end of the log; one it does not know, or may not personalise for, gets the fallback.

    preference: what they say they want, in words. codes: each item's semantic ids are among its details.
    """
    end = np.array([pipeline.cuts.last_us + 1])
    users = pipeline.log.users.encode([user_id])
    if Impersonal(pipeline.tables.path).holds(user_id, 2**62):  # the last word counts, whatever clock the cuts are on
        users = np.zeros_like(users)
    requests = pipeline.with_preferences(pipeline.requests_of(users, end), [preference])
    cascade, said = pipeline.cascade(), None
    if codes:
        said = CodesInWords.of(cascade.retrievers.values(), pipeline.log, pipeline.cuts.test_us)
    return answer(cascade, pipeline.log, requests, seed=seed, codes=said)[0]


def sources_of(plan: Plan) -> dict[str, str]:
    """The state of all that a plan reads: its tables, and the upstream's artifact if it names one."""
    upstream = upstream_files(plan.foundation, plan.folder, plan.where)
    return fingerprint({**source_files(plan.data, plan.folder), **({NEED: upstream} if upstream else {})})


def source_files(settings: DataConfig, base: Path) -> dict[str, list[Path]]:
    """The files a plan reads, by table; a data set is fetched first."""
    check_sources(settings)
    if settings.dataset is not None:
        return {path.stem: [path] for path in sorted(datasets.get(settings.dataset).glob("*.parquet"))}
    named = {name: getattr(settings, name) for name in TABLES}
    return {name: found_files(name, path, base) for name, path in named.items() if path is not None}


def fingerprint(files: Mapping[str, list[Path]]) -> dict[str, str]:
    """sha256 of the sources' bytes, part of the key of all that is made from them."""
    found: dict[str, str] = {}
    for name, paths in files.items():
        hashes = []
        for path in paths:
            with path.open("rb") as opened:
                hashes.append(file_digest(opened, "sha256").hexdigest())
        found[name] = " ".join(hashes)
    return found


def _somebody(pipeline: Pipeline) -> str:
    """The user with the longest history: one whose answer shows something."""
    lengths = pipeline.log.store.events.lengths
    return str(pipeline.log.users.decode(np.array([int(lengths.argmax())]))[0])
