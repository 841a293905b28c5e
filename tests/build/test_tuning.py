"""An adapter as a stage: found again, kept apart by what it was made of, and taken up in the same bits after a kill."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.testing import assert_close

from headrace.artifacts.store import Store
from headrace.build.graph import Graph
from headrace.build.tuning import export, tune
from headrace.contracts.chat import Message
from headrace.contracts.errors import ArtifactError
from headrace.llm.causal import causal
from headrace.llm.local import LocalConfig, local, with_adapter
from headrace.llm.lora import LoraConfig
from headrace.methods.align.sft import SftConfig
from headrace.testing import tiny_llama
from headrace.testing.tiny_llama import tiny
from tests.build.tuned import CHATS, SETTINGS, run
from tests.llm.tiny_causal import logits

ROOT = Path(__file__).resolve().parents[2]
ASKED = [[Message("user", "Is tea hot?")], [Message("user", "Is ice hot?")]]


def test_a_killed_run_ends_in_the_same_bits(tmp_path):
    whole, folder = run(tmp_path / "whole"), tmp_path / "killed"
    command = [sys.executable, "-m", "tests.build.tuned", str(folder), "1", "4", "5"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout == "-9 -9 -9", ran.stderr
    (checkpoint,) = (folder / ".checkpoints").iterdir()
    assert checkpoint.stat().st_size < tiny_size() / 2, "the base is not in it"
    taken_up = []
    graph = Graph(Store(folder), lambda what, done, total, note="": taken_up.append(done))
    killed = tune(graph, tiny(), CHATS, SETTINGS, seed=3)
    assert taken_up[0] == 6, "it goes on where it was"
    assert killed.key == whole.key
    assert killed.digest == whole.digest
    assert killed.manifest.metrics == whole.manifest.metrics
    assert whole.manifest.metrics["steps"] == 6


def tiny_size():
    return sum(4 * one.numel() for one in tiny_llama.model().parameters())


def test_it_is_found_again_and_hangs_on_base_chats_and_settings(tmp_path):
    graph = Graph(Store(tmp_path))
    first = tune(graph, tiny(), CHATS[:1], SETTINGS)
    assert tune(Graph(Store(tmp_path)), tiny(), CHATS[:1], SETTINGS).key == first.key
    others = {
        tune(graph, tiny("cd" * 32), CHATS[:1], SETTINGS).key,
        tune(graph, tiny(), CHATS[1:2], SETTINGS).key,
        tune(graph, tiny(), CHATS[:1], SETTINGS, seed=1).key,
        tune(graph, tiny(), CHATS[:1], SftConfig(lora=LoraConfig(rank=1), length=64, train=SETTINGS.train)).key,
    }
    assert len(others | {first.key}) == 5
    assert not list((tmp_path / ".checkpoints").iterdir())


def test_the_epoch_that_validates_best_is_kept_and_the_base_stays(tmp_path):
    read = tiny()
    before, seen = logits(read.model), []

    def validate(model):
        seen.append(model.score(ASKED, [["tea"]] * 2)[0].log_prob[0])
        return -len(seen)

    made = tune(Graph(Store(tmp_path)), read, CHATS, SETTINGS, validate=validate, validated_on="two")
    assert logits(read.model).equal(before)
    assert seen[0] != seen[1]
    assert made.manifest.metrics["epochs"] == 1
    found = with_adapter(read, made.path, LocalConfig()).score(ASKED, [["tea"]] * 2)[0].log_prob[0]
    assert found == pytest.approx(seen[0], abs=1e-5)


def test_a_merged_model_opens_anywhere_and_answers_as_base_and_adapter(tmp_path):
    from transformers import AutoModelForCausalLM

    base = tmp_path / "base"
    tiny_llama.model().save_pretrained(base)
    tiny_llama.tokenizer().save_pretrained(base)
    adapter = tune(Graph(Store(tmp_path / "store")), causal(base), CHATS, SETTINGS)
    apart = local(base, adapter=adapter.path)
    export(causal(base), adapter.path, tmp_path / "merged")
    merged = local(tmp_path / "merged")
    assert len({apart.id, merged.id, local(base).id}) == 3
    assert_close(logits(merged.model), logits(apart.model), atol=1e-5, rtol=0)
    assert not torch.allclose(logits(apart.model), logits(local(base).model), atol=1e-2)
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path / "merged")
    assert_close(logits(theirs), logits(apart.model), atol=1e-5, rtol=0)
    assert not {path.suffix for path in (tmp_path / "merged").iterdir()} - {".json", ".safetensors", ".jinja"}
    with pytest.raises(ArtifactError, match="is not empty"):
        export(causal(base), adapter.path, tmp_path / "merged")
    with pytest.raises(ArtifactError, match="an adapter of base"):
        export(causal(tmp_path / "merged"), adapter.path, tmp_path / "twice")
