"""Builds under bad conditions, with real processes: a clear error or a correct result, and nothing half-written."""

import json
import subprocess
import sys

import polars as pl
import pytest

from headrace.artifacts.store import Store
from headrace.cascade.run import build, open_run, recommend
from headrace.contracts.errors import ArtifactError, DataError
from tests.cascade.shop import write_shop

BUILD = (
    "import sys; from pathlib import Path; from headrace.cascade import run; run.build(*map(Path, sys.argv[1:3]), name='shop')"
)
FULL = """
import resource, sys
from pathlib import Path
from headrace.cascade import run
from headrace.contracts.errors import HeadraceError
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), resource.RLIM_INFINITY))
try:
    run.build(Path(sys.argv[1]), Path(sys.argv[2]), name="shop")
except HeadraceError as error:
    print(error)
"""


def test_two_builds_into_one_folder_at_once_make_one(shop, built, tmp_path):
    folder = tmp_path / "run"
    both = [subprocess.Popen([sys.executable, "-c", BUILD, shop, folder]) for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0]
    assert json.loads((folder / "report.json").read_text()) == json.loads((built / "report.json").read_text())
    assert not list((folder / "store" / ".drafts").iterdir())
    store = Store(folder / "store")
    assert all(store.find(one.kind, one.key) for one in store.manifests()), "every artifact is whole"


@pytest.mark.parametrize("limit", [300, 8_000, 40_000])
def test_a_disk_that_fills_up_leaves_only_whole_artifacts(shop, built, tmp_path, limit):
    folder = tmp_path / "run"
    done = subprocess.run([sys.executable, "-c", FULL, shop, folder, str(limit)], capture_output=True, text=True, check=True)
    assert "could not be written" in done.stdout
    assert "Traceback" not in done.stderr
    store = Store(folder / "store")
    assert all(store.find(one.kind, one.key) for one in store.manifests())
    assert not list((folder / "store").glob(".drafts/*"))
    build(shop, folder, name="shop")
    assert json.loads((folder / "report.json").read_text()) == json.loads((built / "report.json").read_text())


@pytest.mark.parametrize("place", ["run", "run/store"])
def test_a_file_where_a_folder_should_be(shop, tmp_path, place):
    (tmp_path / place).parent.mkdir(exist_ok=True)
    (tmp_path / place).write_text("in the way")
    with pytest.raises(ArtifactError, match="can't write there"):
        build(shop, tmp_path / "run", name="shop")
    assert (tmp_path / place).read_text() == "in the way"


def test_strange_ids_are_built_and_answered(tmp_path):
    toml = write_shop(tmp_path)
    events = pl.read_csv(tmp_path / "events.csv")
    strange = pl.col("customer") + ', "\N{UNICORN FACE}"\n' + "x" * 10_000
    events.with_columns(strange).write_csv(tmp_path / "events.csv")
    built = build(toml, tmp_path / "run", name="strange")
    assert built.user.endswith("x" * 10_000)
    page = recommend(open_run(tmp_path / "run"), built.user)
    assert [one.item_id for one in page] == [one.item_id for one in built.page]


def test_a_header_half_way_is_refused_before_anything_is_made(tmp_path):
    toml = write_shop(tmp_path)
    lines = (tmp_path / "events.csv").read_text().splitlines()
    (tmp_path / "events.csv").write_text("\n".join([*lines[:300], "customer,product,when,kind,more", *lines[300:]]))
    with pytest.raises(DataError, match="row 300 of events.csv has 5 fields, its header has 4"):
        build(toml, tmp_path / "run", name="torn")
    assert not list(Store(tmp_path / "run" / "store").manifests())
