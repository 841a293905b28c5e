"""headrace annotate of a TOML with [anchors], in a process of its own."""

from pathlib import Path

import polars as pl
import pytest

from tests.cascade.shop import write_rich_shop
from tests.cli.forked import Forked

TOML = """
out = "anchors.parquet"
[anchors]
plan = "shop.toml"
n = 2
[anchors.causal]
dim = 8
layers = 1
heads = 1
train = { epochs = 1 }
"""


@pytest.fixture(scope="module")
def headrace():
    forked = Forked()
    yield forked
    forked.close()


def test_annotate_anchors(headrace, tmp_path: Path):
    toml = write_rich_shop(tmp_path)
    toml.write_text(toml.read_text() + "\n[ids]\nlevels = 2\ncodes = 4\n")
    (tmp_path / "anchors.toml").write_text(TOML)
    ran = headrace("annotate", "anchors.toml", cwd=tmp_path)
    assert ran.code == 0, ran.said
    assert "80 anchors of 40 users, 40 written now. More: anchors.json" in ran.said
    assert "users/s" in ran.said
    assert len(pl.read_parquet(tmp_path / "anchors.parquet")) == 80
    dry = headrace("annotate", "anchors.toml", "--dry-run", cwd=tmp_path)
    assert "40 users with a past: the anchors of 0 are to be written." in dry.said
    assert dry.code == 0
    for words, says in ((["--ray"], "Leave out --ray"), (["--out", "x.csv"], "expected the name of a Parquet file")):
        refused = headrace("annotate", "anchors.toml", *words, cwd=tmp_path)
        assert refused.code != 0
        assert says in refused.said
