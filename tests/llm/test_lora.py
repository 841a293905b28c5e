"""An adapter is what learns, what is stored and what is put back, on its own base alone."""

import json
import warnings

import pytest
import torch
from torch.testing import assert_close

from headrace.artifacts.store import Store
from headrace.contracts.chat import Message
from headrace.contracts.errors import ArtifactError, ConfigError
from headrace.contracts.manifest import Manifest
from headrace.llm.local import LocalConfig, asked_of, with_adapter
from headrace.llm.lora import KIND, LoraConfig, adapted, base_of, opened, store
from headrace.testing.tiny_llama import tiny
from tests.llm.tiny_causal import logits, moved

CHATS = [[Message("user", "Is tea hot?")], [Message("user", "Is ice hot, too?")]]
LABELS = [["yes", "no"]] * 2


def stored(folder, read, model, kind=KIND):
    with Store(folder).create(Manifest(kind, "k" * 32, 1, {"base": base_of(read)}, {})) as draft:
        store(model, draft.path, base_of(read))
    return folder / kind / ("k" * 32)


def test_a_new_adapter_changes_nothing_and_only_it_learns():
    read = tiny()
    before, own = logits(read.model), {name for name, _ in read.model.named_parameters()}
    model = adapted(read.model, LoraConfig(rank=2), seed=0).eval()
    assert logits(model.model).equal(before)
    learning = [name for name, one in model.named_parameters() if one.requires_grad]
    assert len(learning) == 2 * 7 * 2, "two of each linear map of each of two layers"
    assert all("lora_" in name for name in learning)
    assert set(model.state_dict()) == set(learning) == model.own
    assert {name for name, _ in model.taken_off().named_parameters()} == own


def test_the_state_is_the_adapter_s_and_comes_back():
    one, other = moved(tiny(), seed=1), moved(tiny(), seed=2)
    assert not logits(one.model).equal(logits(other.model))
    other.load_state_dict(one.state_dict())
    assert logits(one.model).equal(logits(other.model))
    lacking = {name: value for name, value in one.state_dict().items() if "lora_B" in name}
    with pytest.raises(RuntimeError, match="lora_A"):
        other.load_state_dict(lacking)


def test_the_draw_is_the_seed_s():
    first, again, other = (adapted(tiny().model, LoraConfig(), seed=seed).state_dict() for seed in (3, 3, 4))
    assert all(first[name].equal(again[name]) for name in first)
    assert any(not first[name].equal(other[name]) for name in first)


def test_taken_off_leaves_the_base_bit_for_bit():
    read = tiny()
    before = logits(read.model)
    model = moved(read)
    assert not torch.allclose(logits(read.model), before, atol=0.1)
    assert logits(model.taken_off()).equal(before)


def test_merged_is_base_and_adapter():
    read = tiny()
    model = moved(read)
    apart = logits(read.model)
    assert_close(logits(model.merged()), apart, atol=1e-5, rtol=0)


def test_a_stored_adapter_on_its_base_answers_as_it_did(tmp_path):
    read = tiny()
    base = asked_of(read, LocalConfig())
    plain = base.score(CHATS, LABELS)
    model = moved(read)
    wanted = base.score(CHATS, LABELS)
    folder = stored(tmp_path, read, model)
    found = with_adapter(tiny(), folder, LocalConfig())
    assert found.id.startswith(base.id + "+")
    for one, same, other in zip(found.score(CHATS, LABELS), wanted, plain, strict=True):
        assert one.log_prob.tolist() == same.log_prob.tolist()
        assert abs(one.log_prob - other.log_prob).max() > 0.1


def test_what_is_stored_is_numbers_and_json_that_other_tools_read(tmp_path):
    from peft import PeftModel

    read = tiny()
    folder = stored(tmp_path, read, moved(read, LoraConfig(rank=3, alpha=5.0, targets=("q_proj", "v_proj"))))
    assert sorted(path.name for path in folder.iterdir()) == ["adapter_config.json", "adapter_model.safetensors", "manifest.json"]
    settings = json.loads((folder / "adapter_config.json").read_text())
    wanted = ("LORA", 3, 5.0, "tiny")
    assert tuple(settings[key] for key in ("peft_type", "r", "lora_alpha", "base_model_name_or_path")) == wanted
    assert json.loads((folder / "manifest.json").read_text())["config"]["base"] == {"name": "tiny", "digest": "ab" * 32}
    with warnings.catch_warnings(action="ignore", category=FutureWarning):
        theirs = PeftModel.from_pretrained(tiny().model, str(folder))
    assert logits(theirs).equal(logits(read.model))


def test_the_adapter_of_another_base_is_refused_by_name(tmp_path):
    read = tiny()
    folder = stored(tmp_path, read, moved(read))
    other = tiny("cd" * 32)
    with pytest.raises(ArtifactError, match=r"an adapter of tiny \(abababababababab\), and this is tiny \(cdcdcdcdcdcdcdcd\)"):
        opened(other, folder)
    assert logits(other.model).equal(logits(tiny().model)), "nothing was put on it"


def test_a_second_adapter_on_one_model_is_refused(tmp_path):
    read = tiny()
    model = moved(read)
    folder = stored(tmp_path, read, model)
    for again in (lambda: moved(read), lambda: opened(read, folder)):
        with pytest.raises(ConfigError, match="has an adapter on it"):
            again()
    wanted = logits(read.model)
    model.taken_off()
    assert logits(opened(read, folder)[0].model).equal(wanted)


def test_what_is_no_adapter_or_was_changed_is_refused(tmp_path):
    read = tiny()
    folder = stored(tmp_path, read, moved(read), kind="other")
    with pytest.raises(ArtifactError, match='expected an adapter, and it is a "other"'):
        opened(tiny(), folder)
    with pytest.raises(ArtifactError, match="can't be read"):
        opened(tiny(), tmp_path)
    (folder / "adapter_config.json").write_text("{}")
    with pytest.raises(ArtifactError, match="adapter_config.json is not what was written"):
        opened(tiny(), folder)


@pytest.mark.parametrize("name", ["lm_head", "embed_tokens", "query"])
def test_a_target_that_is_no_linear_map_inside_is_refused(name):
    with pytest.raises(ConfigError, match=f"{name} can't have an adapter. This model's linear maps: down_proj, gate_proj"):
        adapted(tiny().model, LoraConfig(targets=("q_proj", name)), seed=0)
