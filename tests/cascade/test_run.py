"""From a TOML to a report and an answer, with all real parts."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
import torch

from headrace.cascade import run
from headrace.cascade.run import build, open_run, recommend
from headrace.cascade.validation import ndcg_of_retriever
from headrace.contracts.errors import ArtifactError, ConfigError
from headrace.data.consent import Impersonal
from headrace.methods.retrieve.itemknn import ItemKNN
from tests.cascade.shop import RING
from tests.data.tables import write_tables

ROW = {
    "stage", "method", "split", "slice", "metric", "value", "lo", "hi", "n", "baseline", "diff", "diff_lo", "diff_hi", "p",
}  # fmt: skip


def test_the_report_holds_every_stage_with_interval_and_test(built):
    report = json.loads((built / "report.json").read_text())
    rows = report["rows"]
    assert all(set(row) == ROW for row in rows)
    stages = {(row["stage"], row["method"]) for row in rows}
    assert {("retrieve", "itemknn"), ("retrieve", "sasrec"), ("rank", "dcnv2"), ("page", "explore")} <= stages
    for row in rows:
        assert row["n"] > 0
        assert row["lo"] <= row["value"] <= row["hi"]
        assert (row["p"] is None) == (row["method"] == "popularity")
    assert "<svg" in (built / "report.html").read_text()


def test_the_cascade_finds_the_ring(built):
    """The next item of most users is certain; popularity can't know it."""
    found = json.loads((built / "report.json").read_text())["rows"]
    rows = {(r["method"], r["metric"], r["baseline"]): r for r in found if r["slice"] == "all"}
    assert rows["dcnv2", "recall@5", "popularity"]["diff_lo"] > 0
    assert rows["dcnv2", "recall@5", "popularity"]["value"] > 0.6


def test_the_cascade_is_set_against_its_best_retriever_which_the_test_window_did_not_choose(built, pipeline):
    report = json.loads((built / "report.json").read_text())
    said = report["facts"]["best retriever"]
    best, window = said["alone"], (pipeline.cuts.prerank_us, pipeline.cuts.rank_us)
    requests, answers = pipeline.requests(*window)
    for name in pipeline.plan.retrieve.use:
        retriever = pipeline.load_retriever(name, final=False)
        ndcg = ndcg_of_retriever(retriever, requests, answers, pipeline.log.available(window[0]), seen_items=False)
        assert f"{name} {ndcg:.3f}" in said["chosen by"]
    assert f"test window: {best} " in said["chosen by"], "the best is said first"
    assert best != "popularity"
    assert pipeline.cuts.says(*window) in said["chosen by"]
    against = {(row["stage"], row["method"]) for row in report["rows"] if row["baseline"] == best}
    assert against == {("prerank", "two_tower"), ("rank", "dcnv2"), ("page", "explore")}
    for row in report["rows"]:
        if (row["stage"], row["metric"], row["slice"], row["baseline"]) == ("rank", "ndcg@5", "all", best):
            assert said["rank against it, ndcg@5"].startswith(
                f"{row['diff']:+.3f} [{row['diff_lo']:+.3f}, {row['diff_hi']:+.3f}]"
            )


def test_every_stage_says_how_much_of_the_catalogue_it_shows(built):
    rows = json.loads((built / "report.json").read_text())["rows"]
    for stage in ("retrieve", "prerank", "rank", "page"):
        metrics = {row["metric"] for row in rows if row["stage"] == stage and row["slice"] == "all"}
        assert metrics == {"recall@5", "ndcg@5", "coverage@10", "gini@10", "novelty@10", "diversity@10"}
    assert {row["slice"] for row in rows} >= {"warm users", "tail items", "category: half 0", "category: third 2"}


def test_a_second_build_finds_everything(shop, built):
    before = {path: path.stat().st_mtime_ns for path in built.glob("store/*/*/*")}
    again = build(shop, built, name="shop")
    assert again.made == []
    assert {path: path.stat().st_mtime_ns for path in built.glob("store/*/*/*")} == before


def test_other_settings_redo_only_what_depends_on_them(shop, built):
    toml = shop.with_name("other.toml")
    toml.write_text(shop.read_text().replace("slots = 4", "slots = 3"))
    again = build(toml, built, name="other")
    assert again.made == ["generation", "evaluation"]
    build(shop, built, name="shop")


def test_the_same_plan_gives_the_same_bits(shop, built, tmp_path):
    build(shop, tmp_path / "again", name="shop")
    ours, theirs = (json.loads((folder / "report.json").read_text()) for folder in (built, tmp_path / "again"))
    assert ours == theirs


def test_an_answer_has_reasons_and_does_not_repeat_the_past(pipeline):
    page = recommend(pipeline, "c0")
    assert [one.position for one in page] == [1, 2, 3, 4]
    assert all(one.reasons and 0 < one.propensity <= 1 for one in page)
    assert all(one.title.startswith("Product") for one in page)
    assert all(len(one.reasons) <= 3 and len(one.details) > len(one.reasons) for one in page)
    for one in page:
        best, ranked = one.reasons[:2]
        proposals = [words for words in one.details if " put it " in words and not words.startswith("prerank")]
        ranks = {words: int(words.split(" put it ")[1].split(" of ")[0]) for words in proposals}
        assert best.startswith(min(ranks, key=lambda words: ranks[words]))
        assert ranked.startswith("ranked ")
        assert ranked in one.details
    events = pl.read_csv(pipeline.plan.folder / "events.csv")
    seen = set(events.filter(pl.col("customer") == "c0")["product"])
    assert not seen & {one.item_id for one in page}


def test_an_unknown_user_gets_a_page(pipeline):
    page = recommend(pipeline, "nobody \N{FISH} , \"'")
    assert len(page) == 4
    assert any("popularity" in reason for reason in page[0].reasons)


def test_who_does_not_consent_gets_the_page_of_nobody(pipeline, tmp_path, monkeypatch):
    users = {"user_id": ["c1"], "valid_from": [0], "consent_personalise": [False]}
    tables = write_tables(tmp_path / "tables", [("c1", "p1", 1)], users=users)
    mine = recommend(pipeline, "c1")
    monkeypatch.setattr(run, "Impersonal", lambda _: Impersonal(tables))
    assert recommend(pipeline, "c1") == recommend(pipeline, "nobody") != mine
    assert recommend(pipeline, "c2") != recommend(pipeline, "nobody")


def test_a_build_that_is_not_whole_is_refused_and_not_trained_anew(built, tmp_path, monkeypatch):
    """A stage is gone, or its component has been revised since: the error names it, and nothing is made."""
    folder = Path(shutil.copytree(built, tmp_path / "run"))
    monkeypatch.setattr(ItemKNN, "revision", ItemKNN.revision + 1)
    with pytest.raises(ArtifactError, match="retrieve itemknn is not there .*Run headrace build again"):
        recommend(open_run(folder), "c0")
    monkeypatch.undo()
    assert recommend(open_run(folder), "c0")
    shutil.rmtree(folder / "store" / "rank")
    before = sorted(folder.rglob("*"))
    with pytest.raises(ArtifactError, match="rank dcnv2 is not there .*Run headrace build again"):
        recommend(open_run(folder), "c0")
    assert sorted(folder.rglob("*")) == before


def test_another_seed_is_another_draw_and_the_same_seed_the_same_page(pipeline):
    pages = [[one.item_id for one in recommend(pipeline, f"c{user}", seed=seed)] for seed in (1, 1, 2) for user in range(12)]
    assert pages[:12] == pages[12:24]
    assert pages[:12] != pages[24:]


def test_a_damaged_artifact_is_found_not_served(shop, tmp_path):
    build(shop, tmp_path / "run", name="shop")
    file = next((tmp_path / "run" / "store" / "rank").glob("*/component.safetensors"))
    raw = bytearray(file.read_bytes())
    raw[-1] ^= 1
    file.write_bytes(raw)
    with pytest.raises(ArtifactError, match="component.safetensors is not what was written"):
        recommend(open_run(tmp_path / "run"), "c0")


def test_no_build_there_names_the_nearest(built):
    with pytest.raises(ConfigError, match='no build is there.*Did you mean "run"'):
        open_run(built.with_name("rum"))


KILLED = """
import os, signal, sys
from pathlib import Path
from headrace.cascade import run
from headrace.train import checkpoint

save = checkpoint.save

def last(*said, **more):
    save(*said, **more)
    os.kill(os.getpid(), signal.SIGKILL)

checkpoint.save = last
run.build(*map(Path, sys.argv[1:]), name="shop")
"""


def test_a_killed_build_goes_on_and_ends_in_the_same_bits(shop, built, tmp_path):
    """A real process, killed with SIGKILL while it trains, after its first checkpoint; the second run reaches the report of an
    unbroken one."""
    folder = tmp_path / "run"
    environment = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}  # the order of sums is theirs
    killed = subprocess.run([sys.executable, "-c", KILLED, shop, folder], env=environment)
    assert killed.returncode == -signal.SIGKILL
    assert any((folder / "store" / ".checkpoints").glob("*.safetensors"))
    assert not (folder / "report.json").exists()
    build(shop, folder, name="shop")
    assert json.loads((folder / "report.json").read_text()) == json.loads((built / "report.json").read_text())
    assert not list((folder / "store" / ".drafts").iterdir())


def test_the_ring_is_as_described(pipeline):
    assert len(pipeline.log.items) == RING + 1
