"""The configuration page names every key, and no other."""

import dataclasses
import functools
import re
import tomllib
from pathlib import Path

from headrace.build.components import component_class
from headrace.cascade.foundation_section import Upstream
from headrace.cascade.ids_section import Ids, ids_section
from headrace.cascade.plan import plan_from
from headrace.cascade.preferences_section import PreferencesConfig
from headrace.cascade.sections import Evaluate, Page, Prerank, Rank, Retrieve
from headrace.cascade.summaries_section import SummariesConfig
from headrace.contracts.config import parse
from headrace.contracts.serving import ServeConfig
from headrace.contracts.training import TrainConfig
from headrace.data.features import FeaturesConfig
from headrace.data.settings import DataConfig
from headrace.data.splits import SplitConfig
from headrace.data.summaries import ExtractiveConfig
from headrace.encode.semantic_ids import QUANTISERS
from headrace.flywheel.gates import GATES
from headrace.flywheel.gates.judge_bar import Guarded
from headrace.flywheel.gates.panel import Panel
from headrace.flywheel.settings import FlyConfig, flight
from headrace.llm.annotation.columns import Column
from headrace.llm.annotation.plan import SECTIONS
from headrace.llm.annotation.plan import plan_from as annotation_from
from headrace.llm.annotation.settings import PromptConfig, RayConfig, RowsConfig, SamplingConfig
from headrace.llm.budget import Limits, Prices
from headrace.llm.chosen import ModelConfig
from headrace.llm.llamacpp import LlamaCppConfig
from headrace.llm.local import LocalConfig
from headrace.llm.openai_server import ServerConfig
from headrace.llm.preferences import WrittenConfig
from headrace.llm.profiles import ProfilesConfig
from headrace.methods.page import PAGES
from headrace.methods.page.explore import Rule
from headrace.methods.prerank import PRERANKERS, PSEUDO_LABELERS
from headrace.methods.prerank.anchors import ANCHOR_WRITERS
from headrace.methods.rank import RANKERS
from headrace.methods.retrieve import RETRIEVERS
from headrace.nn.tables import TableConfig
from headrace.objectives.choice import Perturb

PAGE = (Path(__file__).parent.parent / "docs" / "configuration.md").read_text()
TOML = re.search(r"```toml everything.toml\n(.*?)```", PAGE, re.DOTALL)
assert TOML is not None
VALUES = tomllib.loads(TOML[1])
STAGES: dict[str, type] = {
    "split": SplitConfig, "features": FeaturesConfig, "ids": Ids, "preferences": PreferencesConfig,
    "preferences.written": WrittenConfig, "summaries": SummariesConfig, "summaries.extractive": ExtractiveConfig,
    "summaries.written": ProfilesConfig, "foundation": Upstream, "retrieve": Retrieve, "prerank": Prerank, "rank": Rank,
    "page": Page, "evaluate": Evaluate, "serve": ServeConfig,
}  # fmt: skip


TABLES = (
    ("retrieve", RETRIEVERS), ("prerank", PRERANKERS), ("prerank", PSEUDO_LABELERS), ("rank", RANKERS), ("page", PAGES),
)  # fmt: skip


def test_the_page_is_a_plan():
    assert plan_from(VALUES, where="docs", folder=Path()).retrieve.k == 100


def test_every_key_of_every_section_is_on_the_page():
    sections = {"data": DataConfig, **STAGES}
    for stage, table in TABLES:
        sections |= {f"{stage}.{name}": component_class(name, table, "docs").Config for name in table}
    sections["retrieve.sasrec.train"] = TrainConfig
    missing = []
    for path, kind in sections.items():
        section = VALUES
        for part in path.split("."):
            section = section[part]
        commented = set(re.findall(r"^# (\w+) = ", PAGE, re.MULTILINE)) | {"train"}
        missing += [f"{path}.{f.name}" for f in dataclasses.fields(kind) if f.name not in section and f.name not in commented]
    assert missing == []


def test_every_key_of_a_rule_is_on_the_page():
    shown = {key for rule in VALUES["page"]["explore"]["rules"] for key in rule}
    assert shown == {field.name for field in dataclasses.fields(Rule)}


def test_defaults_on_the_page_are_the_defaults():
    sections = dict(STAGES)
    for stage, table in TABLES:
        sections |= {f"{stage}.{name}": component_class(name, table, "docs").Config for name in table}
    for path, kind in sections.items():
        section = functools.reduce(lambda values, part: values[part], path.split("."), VALUES)
        for field in dataclasses.fields(kind):
            wanted = getattr(kind(), field.name)
            if field.name in ("train", "rules") or wanted is None:  # what is left out by default is shown with a value
                continue
            shown = section[field.name]
            if dataclasses.is_dataclass(wanted):  # a section of its own
                shown = parse(type(wanted), shown, where=path)
            assert (tuple(shown) if isinstance(shown, list) else shown) == wanted, f"{path}.{field.name}"


def test_every_key_of_the_flywheel_is_on_its_page_with_its_default():
    page = (Path(__file__).parent.parent / "docs" / "flywheel.md").read_text()
    found = re.search(r"```toml wheel.toml\n(.*?)```", page, re.DOTALL)
    assert found is not None
    plan = flight(tomllib.loads(found[1]), "docs")
    assert plan.fly == FlyConfig()
    assert Panel.of(plan.gates, "docs").gates == Panel.of({name: {} for name in GATES}, "docs").gates
    shown = tomllib.loads(found[1])["gates"]
    for name, gate in Panel.of(plan.gates, "docs").gates.items():
        own = gate.gate if isinstance(gate, Guarded) else gate
        assert [field.name for field in dataclasses.fields(own)] == list(shown[name])  # type: ignore[arg-type]


def test_every_key_of_perturbed_views_is_on_the_page_with_its_default():
    found = re.search(r"```toml perturb.toml\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    shown = tomllib.loads(found[1])
    assert parse(Perturb, shown, where="docs") == Perturb()
    commented = re.findall(r"^# (\w+) = ", found[1], re.MULTILINE)
    assert {*shown, *commented} == {field.name for field in dataclasses.fields(Perturb)}


def test_every_key_of_a_table_of_items_is_on_the_page_with_its_default():
    found = re.search(r"```toml table.toml\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    shown = tomllib.loads(found[1])
    assert parse(TableConfig, shown, where="docs") == TableConfig()
    assert list(shown) == [field.name for field in dataclasses.fields(TableConfig)]


def test_every_key_of_a_way_to_semantic_ids_is_on_the_page_with_its_default():
    ids, parts = ids_section(VALUES["ids"], "docs")
    for name in QUANTISERS:
        kind = component_class(name, QUANTISERS, "docs").Config
        shown = {"levels": ids.levels, "codes": ids.codes, **parts.get(name, {})}
        for field in dataclasses.fields(kind):
            if field.name != "train":
                value = shown.pop(field.name)
                assert (tuple(value) if isinstance(value, list) else value) == getattr(kind(), field.name), f"{name}.{field.name}"
        assert shown == {}


def test_every_key_of_a_writer_with_a_language_model_is_on_the_page_with_its_default():
    page = (Path(__file__).parent.parent / "docs" / "annotate.md").read_text()
    found = re.search(r"```toml writers.toml\n(.*?)```", page, re.DOTALL)
    assert found is not None
    shown = tomllib.loads(found[1])["anchors"]
    for name, left_out in {"lora": {"train"}, "chat": {"prices"}}.items():
        kind = component_class(name, ANCHOR_WRITERS, "docs").Config
        assert parse(kind, shown[name], where="docs") == kind()
        assert set(shown[name]) == {field.name for field in dataclasses.fields(kind)} - left_out


def test_every_key_of_an_annotation_is_on_its_page_with_its_default():
    page = (Path(__file__).parent.parent / "docs" / "annotate.md").read_text()
    found = re.search(r"```toml every.toml\n(.*?)```", page, re.DOTALL)
    assert found is not None
    shown, commented = tomllib.loads(found[1]), set(re.findall(r"^# (\w+) = ", found[1], re.MULTILINE))
    annotation_from(shown, where="docs", folder=Path())
    assert set(shown) == set(SECTIONS)
    columns = {key for column in shown["columns"].values() for key in column}
    assert columns == {field.name for field in dataclasses.fields(Column)}
    model, sections = shown["model"], dict(shown)
    sections |= {f"model.{name}": model.pop(name) for name in ("local", "llamacpp", "server")}
    for name, kind in {
        "rows": RowsConfig, "prompt": PromptConfig, "model": ModelConfig, "model.local": LocalConfig,
        "model.llamacpp": LlamaCppConfig, "model.server": ServerConfig, "sampling": SamplingConfig, "prices": Prices,
        "limits": Limits, "ray": RayConfig,
    }.items():  # fmt: skip
        for field in dataclasses.fields(kind):
            assert field.name in sections[name].keys() | commented, f"{name}.{field.name}"
            if field.default not in (dataclasses.MISSING, None, "") and field.name in sections[name]:
                assert sections[name][field.name] == field.default, f"{name}.{field.name}"
