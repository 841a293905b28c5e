"""The configuration page names every key, and no other."""

import dataclasses
import re
import tomllib
from pathlib import Path

from headrace.build.components import component_class
from headrace.cascade.plan import Evaluate, Page, Rank, Retrieve, plan_from
from headrace.contracts.training import TrainConfig
from headrace.data.settings import DataConfig
from headrace.data.splits import SplitConfig
from headrace.methods.page import PAGES
from headrace.methods.rank import RANKERS
from headrace.methods.retrieve import RETRIEVERS

PAGE = (Path(__file__).parent.parent / "docs" / "configuration.md").read_text()
TOML = re.search(r"```toml everything.toml\n(.*?)```", PAGE, re.DOTALL)
assert TOML is not None
VALUES = tomllib.loads(TOML[1])


def test_the_page_is_a_plan():
    assert plan_from(VALUES, where="docs", folder=Path()).retrieve.k == 100


def test_every_key_of_every_section_is_on_the_page():
    sections = {"data": DataConfig, "split": SplitConfig, "retrieve": Retrieve, "rank": Rank, "page": Page, "evaluate": Evaluate}
    for stage, table in (("retrieve", RETRIEVERS), ("rank", RANKERS), ("page", PAGES)):
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


def test_defaults_on_the_page_are_the_defaults():
    for name, kind in (("retrieve", Retrieve), ("rank", Rank), ("page", Page), ("evaluate", Evaluate), ("split", SplitConfig)):
        for field in dataclasses.fields(kind):
            shown = VALUES[name][field.name]
            assert (tuple(shown) if isinstance(shown, list) else shown) == getattr(kind(), field.name), f"{name}.{field.name}"
