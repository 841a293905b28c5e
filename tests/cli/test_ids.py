"""headrace ids as a user meets it: real processes."""

import json
import shutil
from pathlib import Path

from tests.cascade.shop import write_rich_shop
from tests.cli.test_cli import headrace


def test_codes_are_built_reported_and_held_against_another_run(tmp_path: Path) -> None:
    toml = write_rich_shop(tmp_path)
    toml.write_text(toml.read_text() + "\n[ids]\nlevels = 2\ncodes = 4\n")
    ran = headrace("ids", "build", "shop.toml", "--out", "runs/one", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert "24 of 24 items have codes, by residual_kmeans." in ran.stdout
    assert "perplexity" in ran.stdout
    assert "wool" in ran.stdout
    assert json.loads((tmp_path / "runs/one/ids.json").read_text())["with_codes"] == 24
    shutil.copytree(tmp_path / "runs/one", tmp_path / "runs/two")
    ran = headrace("ids", "report", "runs/two", "--against", "runs/one", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert "Against one: 24 items" in ran.stdout
    assert "0.0%" in ran.stdout
    assert "items moved since one" in (tmp_path / "runs/two/ids.svg").read_text()


def test_mistakes_are_said_in_a_line(tmp_path: Path) -> None:
    toml = write_rich_shop(tmp_path)
    toml.write_text(toml.read_text().replace('item_vectors = "tfidf"', ""))
    ran = headrace("ids", "build", "shop.toml", cwd=tmp_path)
    assert ran.returncode == 2
    assert 'Set [features] item_vectors = "tfidf"' in ran.stderr
    assert "Traceback" not in ran.stderr
    ran = headrace("ids", "report", "runs/none", cwd=tmp_path)
    assert ran.returncode == 2
    assert "no build is there" in ran.stderr


def test_help_teaches() -> None:
    said = headrace("ids", "--help").stdout
    for word in ("build", "report", "[ids]", "item_vectors", "residual_kmeans"):
        assert word in said
    for verb in ("build", "report"):
        assert f"Example:  headrace ids {verb}" in headrace("ids", verb, "--help").stdout
