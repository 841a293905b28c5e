"""Rules of the house that a type checker can't see."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "headrace"
FILES = sorted(SOURCE.rglob("*.py"))


def room(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0]


def test_no_training_loop_outside_train_and_balance():
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in FILES
        if room(path) not in {"train", "balance", "testing"}
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if re.search(r"\.backward\(|optimizer\.step\(|for \w*epoch\w* in ", line) and "def backward" not in line
    ]
    assert found == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_files_stay_small_and_say_what_they_are(path):
    text = path.read_text()
    assert len(text.splitlines()) <= 300
    assert ast.get_docstring(ast.parse(text)), "a module says in plain words what it does"
    assert path.stem not in {"utils", "helpers", "common", "misc", "base2"}


def test_rooms_without_torch_load_none():
    code = (
        "import sys, importlib; [importlib.import_module(f'headrace.{name}') for name in sys.argv[1:]];"
        "print('torch' in sys.modules)"
    )
    rooms = ("contracts", "artifacts", "evaluate")
    modules = [
        ".".join(path.relative_to(SOURCE).with_suffix("").parts)
        for path in FILES
        if room(path) in rooms and path.stem != "__init__"
    ]
    ran = subprocess.run([sys.executable, "-c", code, *modules], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "False"


def test_the_package_itself_loads_nothing():
    code = "import sys; before = set(sys.modules); import headrace; print(*(set(sys.modules) - before))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(ran.stdout.split()) == {"headrace"}


def test_every_dependency_is_pinned():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = [one for names in project["optional-dependencies"].values() for one in names]
    wanted = {re.split(r"[<>=\[]", one)[0].lower().replace("_", "-") for one in project["dependencies"] + extras} - {"headrace"}
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    assert wanted <= {line.split("==")[0].lower().replace("_", "-") for line in lines}
    assert "torch==2.13.0" in lines


def test_the_short_names_of_each_stage_can_be_imported_and_keep_their_contract():
    from headrace.build.components import component_class
    from headrace.methods.page import PAGES
    from headrace.methods.prerank import PRERANKERS, PSEUDO_LABELERS
    from headrace.methods.rank import RANKERS
    from headrace.methods.retrieve import RETRIEVERS

    for table in (RETRIEVERS, PRERANKERS, PSEUDO_LABELERS, RANKERS, PAGES):
        for name in table:
            kind = component_class(name, table, "test")
            assert isinstance(kind.revision, int)
            kind.Config()  # every setting has a default


def test_unpickling_and_shells_stay_out():
    banned = re.compile(r"\bpickle\.(load|dump)|\btorch\.load\(|allow_pickle=True|(?<![\w.])eval\(|(?<![\w.])exec\(|shell=True")
    assert [str(path) for path in FILES if banned.search(path.read_text())] == []
