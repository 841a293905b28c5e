"""What a TOML asks for: which data, which stages with which settings, how it is measured."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from headrace.build.components import component_class, settings_of
from headrace.cascade.calibrated import need_probabilities
from headrace.cascade.foundation_section import NEED, Upstream, check_upstream, need_foundation
from headrace.cascade.ids_section import Ids, ids_section, need_item_vectors
from headrace.cascade.preferences_section import Written, preferences_section
from headrace.cascade.pseudo_section import check_pseudo
from headrace.cascade.sections import Evaluate, Page, Prerank, Rank, Retrieve
from headrace.cascade.summaries_section import Summarised, summaries_section
from headrace.cascade.tasks_section import check_calibrated, check_several, check_tasks, tasks_section
from headrace.contracts.config import parse
from headrace.contracts.errors import ConfigError, listed, nearest
from headrace.contracts.kinds import Kind
from headrace.contracts.serving import ServeConfig
from headrace.data.features import FeaturesConfig
from headrace.data.labels import TaskConfig
from headrace.data.settings import DataConfig
from headrace.data.splits import SplitConfig
from headrace.encode.semantic_ids import QUANTISERS
from headrace.methods.page import PAGES
from headrace.methods.prerank import PRERANKERS, PSEUDO_LABELERS
from headrace.methods.rank import RANKERS
from headrace.methods.retrieve import RETRIEVERS

SECTIONS = (
    "data", "kinds", "split", "features", "ids", "preferences", "summaries", "foundation", "retrieve", "prerank", "rank",
    "page", "evaluate", "serve", "tasks",
)  # fmt: skip
OTHERS = ("fly", "gates", "world")  # the flywheel's, which checks them: one TOML does for both
_ENOUGH = 1000
_TABLES = {"retrieve": RETRIEVERS, "prerank": PRERANKERS, "rank": RANKERS}


@dataclass(frozen=True)
class Plan:
    """settings: stage name -> component name -> its TOML section, checked. where: the file it came from.

    teaching: the plan whose ranker teaches the pre-ranker, where rankers are compared and it is to stay the same; None: this one.
    """

    where: str
    folder: Path
    data: DataConfig
    kinds: Mapping[str, Kind] = field(default_factory=dict)
    split: SplitConfig = field(default_factory=SplitConfig)
    features: FeaturesConfig = field(default_factory=FeaturesConfig)
    ids: Ids = field(default_factory=Ids)
    preferences: Written = field(default_factory=Written)
    summaries: Summarised = field(default_factory=Summarised)
    foundation: Upstream = field(default_factory=Upstream)
    retrieve: Retrieve = field(default_factory=Retrieve)
    prerank: Prerank = field(default_factory=Prerank)
    rank: Rank = field(default_factory=Rank)
    page: Page = field(default_factory=Page)
    evaluate: Evaluate = field(default_factory=Evaluate)
    serve: ServeConfig = field(default_factory=ServeConfig)
    tasks: Mapping[str, TaskConfig] = field(default_factory=dict)
    settings: Mapping[str, Mapping[str, Mapping[str, Any]]] = field(default_factory=dict)
    seed: int = 0
    teaching: "Plan | None" = None

    def of(self, stage: str, name: str) -> Mapping[str, Any]:
        return self.settings.get(stage, {}).get(name, {})

    def tasks_of(self, stage: str) -> dict[str, TaskConfig]:
        """What a scorer learns from impressions, the main task first; none: it learns from proposals."""
        asked = getattr(self, stage)
        return {name: self.tasks[name] for name in asked.tasks} if asked.learn_from == "impressions" else {}

    def task_of(self, stage: str) -> TaskConfig | None:
        """The main one; None: the stage learns from proposals."""
        return next(iter(self.tasks_of(stage).values()), None)

    def needs_of(self, name: str, stage: str = "retrieve") -> set[str]:
        """The artifacts that a component of a stage reads, with its settings."""
        kind = component_class(name, _TABLES[stage], f"{self.where} [{stage}]", trusted(self))
        settings = settings_of(kind, self.of(stage, name), f"{self.where} [{stage}.{name}]")
        return set(getattr(kind(settings), "needs", ()))

    @property
    def newest(self) -> int:
        """So many events of its user's history a request carries: as many as a scorer reads, and enough for every retriever."""
        read = [_ENOUGH]
        for stage in ("prerank", "rank"):
            use = getattr(self, stage).use
            if use is not None:
                kind = component_class(use, _TABLES[stage], f"{self.where} [{stage}]", trusted(self))
                settings = settings_of(kind, self.of(stage, use), f"{self.where} [{stage}.{use}]")
                read.append(getattr(settings, "history", 0))
        return max(read)

    @property
    def retrievers(self) -> tuple[str, ...]:
        """Those used, the fallback and the baseline, each once."""
        return tuple(dict.fromkeys((*self.retrieve.use, self.retrieve.fallback, self.evaluate.baseline)))


def read_toml(path: Path) -> dict[str, Any]:
    """A missing or broken file is an error that names the nearest one."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        close = nearest(path.name, [other.name for other in path.parent.glob("*.toml")] if path.parent.is_dir() else [])
        raise ConfigError(f"{path}: there is no such file.{close}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise ConfigError(f"{path}: can't be read as TOML ({error}).") from None


def plan_from(values: Mapping[str, Any], *, where: str, folder: Path) -> Plan:
    """Checked whole: every mistake names the file, the section and the nearest right word. folder: what paths count from."""
    for name, section in values.items():
        if name == "seed" or name in OTHERS:
            continue
        if name not in SECTIONS:
            raise ConfigError(
                f"{where}: [{name}] is not a section.{nearest(name, SECTIONS).replace(chr(34), '')} Sections: {listed(SECTIONS)}."
            )
        if not isinstance(section, Mapping):
            raise ConfigError(f"{where}: {name} is {section!r}, expected a section [{name}].")
    if "data" not in values:
        raise ConfigError(f'{where}: [data] is missing. Say where the events are: [data] events = "events.csv".')
    if not isinstance(values.get("seed", 0), int):
        raise ConfigError(f"{where}: seed is {values['seed']!r}, expected a whole number.")
    retrieve, retrievers = _stage(values, "retrieve", Retrieve, RETRIEVERS, where)
    prerank, prerankers = _stage(values, "prerank", Prerank, {**PRERANKERS, **PSEUDO_LABELERS}, where)
    rank, rankers = _stage(values, "rank", Rank, {**RANKERS, **PSEUDO_LABELERS}, where)
    page, pages = _stage(values, "page", Page, PAGES, where)
    ids, quantisers = ids_section(values.get("ids", {}), where)
    kinds = {name: parse(Kind, kind, where=f"{where} [kinds.{name}]") for name, kind in values.get("kinds", {}).items()}
    plan = Plan(
        where=where,
        folder=folder,
        data=parse(DataConfig, values["data"], where=f"{where} [data]"),
        kinds=kinds,
        split=parse(SplitConfig, values.get("split", {}), where=f"{where} [split]"),
        features=parse(FeaturesConfig, values.get("features", {}), where=f"{where} [features]"),
        ids=ids,
        preferences=preferences_section(values.get("preferences", {}), where, folder),
        summaries=summaries_section(values.get("summaries", {}), where, folder),
        foundation=parse(Upstream, values.get("foundation", {}), where=f"{where} [foundation]"),
        retrieve=retrieve,
        prerank=prerank,
        rank=rank,
        page=page,
        evaluate=parse(Evaluate, values.get("evaluate", {}), where=f"{where} [evaluate]"),
        serve=parse(ServeConfig, values.get("serve", {}), where=f"{where} [serve]"),
        tasks=tasks_section(values.get("tasks", {}), kinds, where),
        settings={"retrieve": retrievers, "prerank": prerankers, "rank": rankers, "page": pages, "ids": quantisers},
        seed=values.get("seed", 0),
    )
    check_upstream(plan.foundation, plan.split, where)
    for stage, name in [*(("retrieve", name) for name in plan.retrievers), ("prerank", prerank.use), ("rank", rank.use)]:
        if name is not None:
            _check(name, plan.of(stage, name), _TABLES[stage], f"{where} [{stage}]")
            if plan.features.item_vectors is None and plan.needs_of(name, stage) & {"semantic_ids", "item_vectors"}:
                raise need_item_vectors(name, f"{where} [{stage}.{name}]")
            if plan.foundation.artifact is None and NEED in plan.needs_of(name, stage):
                raise need_foundation(name, f"{where} [{stage}.{name}]")
    for asked, stage in ((prerank, "prerank"), (rank, "rank")):
        check_tasks(asked, plan.tasks, shown=bool(plan.data.dataset or plan.data.candidates), where=f"{where} [{stage}]")
    ranker = component_class(rank.use, RANKERS, f"{where} [rank]", trusted(plan))
    check_several(rank, ranker, RANKERS, f"{where} [rank]")
    if rank.calibrate is not None:
        chosen = settings_of(ranker, plan.of("rank", rank.use), where)
        check_calibrated(rank, chosen, f"{where} [rank]")
        need_probabilities(ranker(chosen), f"{where} [rank]")
    for asked, stage, table in ((prerank, "prerank", PRERANKERS), (rank, "rank", RANKERS)):
        if asked.pseudo is not None:
            _check(asked.pseudo, plan.of(stage, asked.pseudo), PSEUDO_LABELERS, f"{where} [{stage}]")
            check_pseudo(plan, stage, table, trusted(plan))
    _check(page.use, plan.of("page", page.use), PAGES, f"{where} [page]")
    _check(ids.method, plan.of("ids", ids.method), QUANTISERS, f"{where} [ids]")
    return plan


def trusted(plan: Plan) -> tuple[str, ...]:
    """The import paths the user's own TOML names."""
    scorers = (plan.prerank.use, plan.prerank.pseudo, plan.rank.use, plan.rank.pseudo)
    named = (*plan.retrievers, *scorers, plan.page.use, plan.ids.method)
    return tuple(name for name in named if name is not None and ":" in name)


def _stage(values: Mapping[str, Any], stage: str, kind: type, table: Mapping[str, str], where: str) -> Any:
    """A stage's own keys, and the sections of its components: [retrieve] k = 100 and [retrieve.sasrec] dim = 64."""
    section = values.get(stage, {})
    own = {name: value for name, value in section.items() if not isinstance(value, Mapping)}
    parts = {name: value for name, value in section.items() if isinstance(value, Mapping)}
    settings: Any = parse(kind, own, where=f"{where} [{stage}]")
    used = settings.use if isinstance(settings.use, tuple) else (settings.use, getattr(settings, "pseudo", None))
    for name in parts:
        if name not in table and name not in used:
            raise ConfigError(
                f"{where}: [{stage}.{name}] is not a component.{nearest(name, table)} "
                f"Components of {stage}: {listed(sorted(table))}."
            )
    return settings, parts


def _check(name: str, section: Mapping[str, Any], table: Mapping[str, str], where: str) -> None:
    kind = component_class(name, table, where, trusted=(name,))
    settings = settings_of(kind, section, f"{where[:-1]}.{name}]")
    if hasattr(settings, "train"):
        from headrace.balance.makers import balancer_of
        from headrace.optim.makers import maker_of

        maker_of(settings.train, f"{where[:-1]}.{name}]")
        balancer_of(settings.train, f"{where[:-1]}.{name}]")
