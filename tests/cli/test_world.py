"""Worlds from the command line: real processes."""

import json

import polars as pl

from tests.cli.test_cli import headrace


def test_a_log_is_made_and_said_what_it_is(tmp_path):
    ran = headrace("world", "make", "small", "--out", "log", "--days", "1", "--seed", "3", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert "headrace build log/shop.toml" in ran.stdout
    about = json.loads((tmp_path / "log" / "world.json").read_text())
    assert about["seed"] == 3
    assert pl.scan_parquet(tmp_path / "log" / "candidates").select(pl.len()).collect().item() == about["days"][0]["candidates"]
    again = headrace("world", "make", "small", "--out", "log", cwd=tmp_path)
    assert again.returncode == 2
    assert "log is there and not empty. Choose another folder with --out" in again.stderr


def test_a_size_that_is_none_names_the_nearest(tmp_path):
    ran = headrace("world", "make", "larg", "--out", "log", cwd=tmp_path)
    assert ran.returncode == 2
    assert ran.stderr.strip() == '"larg" is not a size of a world. Did you mean "large"? Sizes: small, medium, large.'
    assert list(tmp_path.iterdir()) == []


def test_the_deterministic_logger_is_named_in_the_plan(tmp_path):
    ran = headrace("world", "make", "small", "--out", "log", "--days", "1", "--deterministic", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert 'deterministic_policies = ["noisy-top"]' in (tmp_path / "log" / "shop.toml").read_text()


def test_help_has_an_example():
    assert "Example:  headrace world make" in headrace("world", "make", "--help").stdout
