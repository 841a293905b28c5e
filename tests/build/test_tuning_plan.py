"""From a TOML and a file of rows to an adapter and what it says on rows that were held out."""

import dataclasses
import functools
import json
import re
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from headrace.build.tuning_plan import SECTIONS, Held, TuningDataConfig, chats_of, labels_of, split, tuned, tuning_plan
from headrace.contracts.chat import Message
from headrace.contracts.config import as_dict
from headrace.contracts.errors import ConfigError, DataError
from headrace.contracts.training import TrainConfig
from headrace.llm.causal import write
from headrace.llm.local import local
from headrace.methods.align.sft import TRAIN, SftConfig
from headrace.testing.tiny_llama import tiny

VALUES = {
    "model": "tiny", "seed": 1,
    "data": {"rows": "rows.csv", "prompt": "text", "answer": "label", "system": "Which?", "held_out": 0.25},
    "tune": {"length": 96, "rows": 4, "lora": {"rank": 4}, "train": {"epochs": 6, "learning_rate": 0.02}},
}  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    rows = [f"{word} {number},{label}" for number in range(12) for word, label in (("tea", "hot"), ("ice", "cold"))]
    (tmp_path / "rows.csv").write_text("\n".join(["text,label", *rows]))
    write(tiny().model, tiny().tokenizer, tmp_path / "tiny")
    return tmp_path


def test_a_label_is_learned_and_the_run_is_found_again(folder):
    plan = tuning_plan(VALUES, where="t.toml", folder=folder)
    found = tuned(plan, folder / "out", merge=True)
    assert (found.trained_on, found.after.n) == (18, 6)
    assert found.after.loss < found.before.loss - 0.5
    assert found.after.right == 6
    written = json.loads((folder / "out" / "tune.json").read_text())
    assert written["after"]["accuracy"][0] == 1.0
    assert written["after"]["accuracy"][1] < 0.65, "six right answers prove little"
    chat = [Message("system", "Which?"), Message("user", "tea 3")]
    apart, merged = (
        model.score([chat], [["hot", "cold"]])[0].log_prob
        for model in (local(folder / "tiny", adapter=found.adapter.path), local(folder / "out" / "merged"))
    )
    assert apart[0] > apart[1]
    np.testing.assert_allclose(merged, apart, atol=1e-4)  # sums of several tokens in float32
    again = tuned(plan, folder / "out")
    assert again.adapter.digest == found.adapter.digest
    assert again.after == found.after
    with pytest.raises(ConfigError, match="is there already"):
        tuned(plan, folder / "out", merge=True)


def test_what_train_does_not_name_stays_as_it_is_for_adapters(folder):
    plan = tuning_plan(VALUES, where="t.toml", folder=folder)
    assert (plan.sft.train.epochs, plan.sft.train.schedule) == (6, TRAIN.schedule)
    assert tuning_plan({"data": {"rows": "x"}}, where="t.toml", folder=folder).sft.train == TRAIN


def test_every_key_is_on_the_page_with_its_default():
    page = (Path(__file__).resolve().parents[2] / "docs" / "finetune.md").read_text()
    found = re.search(r"```toml drinks.toml\n(.*?)```", page, re.DOTALL)
    assert found is not None
    shown = tomllib.loads(found[1])
    assert set(SECTIONS) == set(shown)
    sections: dict[str, Any] = {"data": TuningDataConfig(rows="drinks.csv"), "tune": SftConfig(), "tune.lora": SftConfig().lora}
    for path, settings in sections.items():
        section = functools.reduce(lambda values, part: values[part], path.split("."), shown)
        names = {field.name for field in dataclasses.fields(settings)} - {"messages"}  # in place of two others
        assert names == set(section) | ({"train", "lora"} & names), path
    lora = SftConfig().lora
    assert shown["tune"]["lora"] == {**as_dict(lora), "targets": list(lora.targets)}
    said = re.search(r"from the usual ones: (.*?)\n\n", page, re.DOTALL)
    assert said is not None
    own = {name: value for name, value in as_dict(TRAIN).items() if value != as_dict(TrainConfig())[name]}
    assert dict(re.findall(r"`(\w+) = ([^`]+)`", said[1])) == {name: json.dumps(value) for name, value in own.items()}


@pytest.mark.parametrize(
    ("values", "match"),
    [
        ({"dat": {}}, r'\[dat\] is not a section. Did you mean "data"'),
        ({"model": 3}, "expected a text"),
        ({"data": {"rows": "x", "promt": "y"}}, 'Did you mean "prompt"'),
        ({"data": {"rows": "x"}, "tune": {"lora": {"rnk": 1}}}, 'Did you mean "rank"'),
        ({"data": {"rows": "x"}, "tune": {"train": {"epoch": 1}}}, 'Did you mean "epochs"'),
    ],
)
def test_a_wrong_key_is_named(folder, values, match):
    with pytest.raises(ConfigError, match=match):
        tuning_plan(values, where="t.toml", folder=folder)


def test_chats_are_read_as_they_are(tmp_path):
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    (tmp_path / "c.jsonl").write_text("\n".join(json.dumps({"messages": turns * n}) for n in (1, 2)))
    asked = TuningDataConfig(rows="c.jsonl", messages="messages")
    assert [[one.role for one in chat] for chat in chats_of(asked, tmp_path)] == [
        ["user", "assistant"],
        ["user", "assistant"] * 2,
    ]
    (tmp_path / "c.jsonl").write_text(json.dumps({"messages": [{"role": "tool", "content": "a"}]}))
    with pytest.raises(DataError, match='row 1: role "tool" is none'):
        chats_of(asked, tmp_path)
    with pytest.raises(DataError, match="no column message"):
        chats_of(TuningDataConfig(rows="c.jsonl", messages="message"), tmp_path)


def test_one_prompt_is_on_one_side():
    chats = [[Message("user", str(n % 7)), Message("assistant", str(n))] for n in range(40)]
    given, out = split(chats, 0.3, 0)
    assert len(given) + len(out) == 40
    assert not {chat[0].content for chat in given} & {chat[0].content for chat in out}
    assert len({chat[0].content for chat in out}) == 2
    with pytest.raises(DataError, match="1 prompts: expected two"):
        split(chats[:1], 0.3, 0)


def test_answers_are_labels_where_they_are_a_choice():
    chats = [[Message("user", str(n)), Message("assistant", "ab"[n % 2])] for n in range(10)]
    assert labels_of(chats) == ["a", "b"]
    assert labels_of(chats[:9]) == []
    assert labels_of(chats[::2]) == [], "one answer is no choice"


def test_the_interval_of_a_share():
    accuracy = Held(100, 0.0, 80).accuracy
    assert accuracy == pytest.approx((0.8, 0.7112, 0.8666), abs=1e-4)  # Wilson's by hand
    assert Held(5, 0.0, None).accuracy is None
