"""The command line as a user meets it: real processes."""

import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

import headrace as headrace_package
from tests.cascade.shop import write_shop

HEADRACE = Path(sys.executable).parent / "headrace"
VERBS = [
    ["build"], ["demo"], ["recommend"], ["explain"], ["evaluate"], ["compare"], ["reproduce"], ["forget"], ["doctor"], ["serve"],
    ["data", "get"], ["data", "list"], ["data", "check"],
]  # fmt: skip


def headrace(*words, cwd=None):
    return subprocess.run([HEADRACE, *words], cwd=cwd, capture_output=True, text=True, env={**os.environ, "COLUMNS": "160"})


def test_it_says_its_version_and_nothing_else():
    ran = headrace("--version")
    assert (ran.returncode, ran.stdout.strip(), ran.stderr) == (0, headrace_package.__version__, "")


def test_help_teaches():
    ran = headrace("--help")
    assert ran.returncode == 0
    for word in ("demo", "build", "recommend", "serve", "data", "[data]", "events.parquet"):
        assert word in ran.stdout


@pytest.mark.parametrize(
    "verb", [["build"], ["demo"], ["recommend"], ["serve"], ["data", "get"], ["data", "list"], ["data", "check"]]
)
def test_every_verb_has_an_example(verb):
    assert f"Example:  headrace {' '.join(verb)}" in " ".join(headrace(*verb, "--help").stdout.split(" "))


def test_help_loads_no_torch():
    code = "import sys, headrace.cli.main; print([m for m in ('torch', 'polars', 'numpy') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


def test_build_then_recommend(tmp_path):
    write_shop(tmp_path)
    ran = headrace("build", "shop.toml", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    for word in (
        "events of 40 users on 24 items",
        "itemknn",
        "dcnv2",
        "[",
        "Recall through the cascade",
        "runs/shop/report.html",
    ):
        assert word in ran.stdout
    assert (tmp_path / "runs/shop/report.html").exists()
    page = headrace("recommend", "runs/shop", "c3", cwd=tmp_path)
    assert page.returncode == 0
    assert "Product" in page.stdout
    assert "put it" in page.stdout


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (('events = "events.csv"', 'events = "event.csv"'), ["event.csv", 'Did you mean "events.csv"']),
        (('user_id = "customer"', 'user_id = "costumer"'), ['no column "costumer"', 'Did you mean "customer"']),
        (("slots = 4", "slot = 4"), ['"slot" is not a key', 'Did you mean "slots"']),
        (("[retrieve]", "[retrive]"), ["[retrive] is not a section", "Did you mean retrieve"]),
        (('user_id = "customer"', ""), ['no column "user_id"', "[data.columns.events]", '"customer"']),
    ],
)
def test_the_commonest_mistakes_get_a_short_error(change, says, tmp_path):
    toml = write_shop(tmp_path)
    toml.write_text(toml.read_text().replace(*change))
    ran = headrace("build", "shop.toml", cwd=tmp_path)
    assert ran.returncode == 2
    for words in says:
        assert words in ran.stderr
    assert "Traceback" not in ran.stderr
    assert len(ran.stderr.strip().splitlines()) <= 4
    assert not (tmp_path / "runs/shop/report.json").exists()


def test_a_traceback_only_on_demand(tmp_path):
    ran = headrace("--debug", "build", str(tmp_path / "none.toml"))
    assert "Traceback" in ran.stderr


def test_a_folder_that_cannot_be_written(tmp_path):
    write_shop(tmp_path)
    (tmp_path / "runs").write_text("a file where a folder should be")
    ran = headrace("build", "shop.toml", cwd=tmp_path)
    assert ran.returncode == 2
    assert "can't write there" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_compare_prints_one_table_with_tests(tmp_path):
    write_shop(tmp_path)
    ran = headrace("compare", "shop.toml", "--retrieve", "itemknn,ease", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert all(word in ran.stdout for word in ("popularity", "itemknn", "ease", "vs popularity", "Holm"))
    wrong = headrace("compare", "shop.toml", "--retrieve", "itemknm", cwd=tmp_path)
    assert wrong.returncode == 2
    assert 'Did you mean "itemknn"' in wrong.stderr


def test_forget_then_build_again_leaves_the_user_out(tmp_path):
    write_shop(tmp_path)
    assert headrace("build", "shop.toml", cwd=tmp_path).returncode == 0
    gone = headrace("forget", "runs/shop", "c3", cwd=tmp_path)
    assert gone.returncode == 0, gone.stderr
    assert "14 of events" in gone.stdout
    again = headrace("build", "shop.toml", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert "of 39 users" in again.stdout
    for path in (tmp_path / "runs/shop/store/tables").glob("*/*.parquet"):
        table = pl.read_parquet(path)
        assert "user_id" not in table.columns or "c3" not in table["user_id"], path


def test_reproduce_smoke(tmp_path):
    ran = headrace("reproduce", "sasrec", "--smoke", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert "verdict:" in ran.stdout
    assert not (tmp_path / "results").exists()


def test_doctor_says_what_is_there():
    ran = headrace("doctor")
    assert ran.returncode == 0
    assert "torch" in ran.stdout
    assert "data cache" in ran.stdout


def test_explain_and_evaluate_on_a_build(tmp_path):
    write_shop(tmp_path)
    headrace("build", "shop.toml", cwd=tmp_path)
    assert "chance" in headrace("explain", "runs/shop", "c1", cwd=tmp_path).stdout
    sliced = headrace("evaluate", "runs/shop", "--slices", cwd=tmp_path).stdout
    assert "warm users" in sliced
    written = headrace("evaluate", "runs/shop", "--requests", "asked.parquet", cwd=tmp_path)
    assert written.returncode == 0, written.stderr
    assert (tmp_path / "asked.parquet").is_file()
