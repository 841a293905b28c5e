"""Users' anchors as stages of a plan: as of a cut, found again, and written for those alone whose past has changed."""

import json
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest

from headrace.artifacts.arrays import load_arrays
from headrace.artifacts.store import Artifact
from headrace.build.components import FILE
from headrace.cascade.anchors import KEPT, anchor_writer, anchors_at, load_anchors
from headrace.cascade.pipeline import Pipeline
from headrace.cascade.run import planned
from headrace.cascade.semantic_ids import load_semantic_ids
from headrace.contracts.chat import Chat
from headrace.contracts.errors import ArtifactError, ConfigError
from headrace.llm.causal import write
from headrace.methods.prerank.anchors import chat
from headrace.testing.chat import Scripted
from headrace.testing.tiny_llama import tiny
from tests.cascade.shop import write_rich_shop

IDS = "\n[ids]\nlevels = 2\ncodes = 4\n"
SETTINGS = {"dim": 8, "layers": 1, "heads": 1, "length": 5, "train": {"epochs": 1}}


def shop(folder: Path, more: str = "") -> Pipeline:
    folder.mkdir(exist_ok=True)
    toml = write_rich_shop(folder)
    with (folder / "events.csv").open("a") as events:
        events.write(more)
    toml.write_text(toml.read_text() + IDS)
    return planned(toml, folder / "run")


def anchors_of(pipeline: Pipeline, cut_us: int | None = None) -> Artifact:
    cut = pipeline.cuts.prerank_us if cut_us is None else cut_us
    return anchors_at(pipeline, cut, 3, "causal", SETTINGS, where="shop.toml [prerank.gpl]")


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    return shop(tmp_path_factory.mktemp("anchored"))


@pytest.fixture(scope="module")
def made(pipeline: Pipeline) -> Artifact:
    return anchors_of(pipeline)


def test_every_user_with_a_past_has_some(pipeline: Pipeline, made: Artifact) -> None:
    found, cut = load_anchors(made), pipeline.cuts.prerank_us
    assert found.codes.shape == (len(pipeline.log.users), 3, 2)
    there = pipeline.log.interactions(cut).history.lengths > 0
    assert np.array_equal((found.codes >= 0).all((1, 2)), there)
    assert not there[0]
    assert found.as_of_us == cut - 1
    found.check(load_semantic_ids(pipeline.semantic_ids(cut)))
    assert made.manifest.metrics == {"users": 40, "with_anchors": 40, "written": 40}
    assert made.manifest.personal


def test_it_is_found_again(pipeline: Pipeline, made: Artifact) -> None:
    again = planned(pipeline.plan.folder / "shop.toml", pipeline.plan.folder / "run")
    assert anchors_of(again).key == made.key
    assert not again.graph.made


def test_nothing_that_came_after_the_cut_had_a_say(pipeline: Pipeline, made: Artifact, tmp_path: Path) -> None:
    """Events of the test window that are there twice over: bit for bit the same anchors."""
    late = pipeline.cuts.test_us // 1_000_000 + 1
    other = shop(tmp_path / "late", "".join(f"c{user},p{(7 * user) % 24},{late + user},view\n" for user in range(40)))
    one, two = load_anchors(made), load_anchors(anchors_of(other, pipeline.cuts.prerank_us))
    assert one.codes.tobytes() == two.codes.tobytes()
    assert one.log_prob.tobytes() == two.log_prob.tobytes()


def test_what_was_written_is_kept_by_history(pipeline: Pipeline, made: Artifact) -> None:
    """Damaged, the artifact is made again of what is kept, without the writer."""
    (pipeline.graph.store.root / made.manifest.kind / made.key / "anchors.safetensors").write_bytes(b"")
    again = planned(pipeline.plan.folder / "shop.toml", pipeline.plan.folder / "run")
    with pytest.raises(ArtifactError):
        anchors_of(again)
    folder = pipeline.graph.store.root / made.manifest.kind / made.key
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    rewritten = anchors_of(planned(pipeline.plan.folder / "shop.toml", pipeline.plan.folder / "run"))
    assert rewritten.manifest.metrics["written"] == 0
    assert rewritten.digest == made.digest
    assert len(list((pipeline.graph.store.root / KEPT).glob("*/part-*"))) == 1


def test_settings_of_the_writer_are_checked(pipeline: Pipeline) -> None:
    with pytest.raises(ConfigError, match=r'shop.toml \[prerank.gpl\].*"depth" is not a key'):
        anchors_at(pipeline, pipeline.cuts.prerank_us, 3, "causal", {"depth": 3}, where="shop.toml [prerank.gpl]")
    with pytest.raises(ConfigError, match="casual"):
        anchors_at(pipeline, pipeline.cuts.prerank_us, 3, "casual", {}, where="shop.toml [prerank.gpl]")


def test_a_chat_model_reads_what_items_are_called(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """By config alone, from the plan's own texts and vectors; what was answered is told, and not asked again."""
    backend = Scripted(lambda chat: json.dumps({"wants": [line[2:].split(" (")[0] for line in items_of(chat)[:2]]}))
    monkeypatch.setattr(chat, "opened", lambda _: nullcontext(backend))
    settings = {"model": {"backend": "local"}, "newest": 3, "words": 2}
    cut = pipeline.cuts.prerank_us
    found = anchors_at(pipeline, cut, 3, "chat", settings, where="shop.toml [prerank.gpl]")
    metrics = found.manifest.metrics
    assert (metrics["with_anchors"], metrics["failed"], metrics["unparsed"]) == (40, 0, 0)
    assert metrics["asked"] == metrics["written"] > 0
    anchors, ids = load_anchors(found), load_semantic_ids(pipeline.semantic_ids(cut))
    anchors.check(ids)
    newest = pipeline.log.interactions(cut).history.last(1)[1:, 0]
    assert (anchors.codes[1:, 0] == ids.codes[newest, :-1]).all(1).mean() > 0.5, "what it named first is the newest item itself"
    asked, more = len(backend.heard), {**settings, "limits": {"max_calls": 10_000}}
    again = anchors_at(pipeline, cut, 3, "chat", more, where="shop.toml [prerank.gpl]")
    assert again.manifest.metrics["written"] == 0
    assert len(backend.heard) == asked
    assert load_anchors(again).codes.tobytes() == anchors.codes.tobytes()


def test_a_model_of_a_folder_is_taught_and_read_anew(pipeline: Pipeline, tmp_path: Path) -> None:
    read = tiny()
    write(read.model, read.tokenizer, tmp_path / "tiny")
    settings = {"model": str(tmp_path / "tiny"), "lora": {"rank": 2}, "prompt": "tea", "length": 5, "train": {"epochs": 1}}
    cut = pipeline.cuts.prerank_us
    found = anchors_at(pipeline, cut, 3, "lora", settings, where="shop.toml [prerank.gpl]")
    assert found.manifest.metrics["with_anchors"] == 40
    anchors = load_anchors(found)
    anchors.check(load_semantic_ids(pipeline.semantic_ids(cut)))
    assert (anchors.log_prob[1:, 0] < 0).all()
    trained = anchor_writer(pipeline, cut, "lora", settings, where="shop.toml [prerank.gpl]")
    stored = sorted(name for name in load_arrays(trained.path / FILE) if name.startswith("words.") and "lora_" not in name)
    assert stored == ["words.output", "words.rows"], "the model is not stored with it"


def items_of(asked: Chat) -> list[str]:
    return [line for line in asked[1].content.splitlines() if line.startswith("- ")]
