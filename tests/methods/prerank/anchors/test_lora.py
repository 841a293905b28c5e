"""The tiny random model as a writer, and once the published one where it is in the cache."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from headrace.contracts.config import parse
from headrace.contracts.errors import ArtifactError, ConfigError, DataError
from headrace.contracts.seams import Services
from headrace.contracts.training import TrainConfig
from headrace.llm.lora import LoraConfig
from headrace.methods.prerank.anchors import ANCHOR_WRITERS
from headrace.methods.prerank.anchors.lora import LoraWriter, LoraWriterConfig
from headrace.methods.prerank.anchors.writer import AnchorWriter
from headrace.nn.seeded import seeded
from headrace.testing import check_batches, check_objective
from headrace.testing.examples import history_of, interactions_of, some_interactions
from headrace.testing.tiny_llama import tiny
from headrace.train.trainer import train
from tests.llm.smollm_files import needs_smollm, smollm_file
from tests.methods.prerank.anchors.test_causal import ids_of

SMALL = LoraWriterConfig(lora=LoraConfig(rank=2, dropout=0.0), prompt="tea:", length=5, thin=0.0, rows=4)


def learned(interactions, settings=SMALL, seed=0, ids=None):
    writer = LoraWriter(settings, seed=seed, base=tiny())
    with seeded(seed, "init"):
        return writer, writer.learn(interactions, {"semantic_ids": ids or ids_of(interactions.n_items)})


def test_contract():
    writer, made = learned(some_interactions(), replace(SMALL, thin=0.05), seed=3)
    check_batches(made.batches)
    check_objective(made.objectives[0], writer, made.batches.epoch(0)[0])
    assert isinstance(writer, AnchorWriter)
    assert ANCHOR_WRITERS["lora"].endswith(":LoraWriter")
    assert made.made_of == {"semantic_ids": writer.ids.fingerprint, "base": "ab" * 32}


def test_it_foresees_what_follows_and_the_base_stays():
    """Interest (0, 0) is always followed by (1, 1), and that by (2, 0): items 6, 12 -> 4, 10 -> 2, 8."""
    draw = np.random.default_rng(0)
    groups = [[6, 12], [4, 10], [2, 8]]
    rows = [[int(draw.choice(groups[(start + step) % 3])) for step in range(5)] for start in range(3) for _ in range(20)]
    writer, made = learned(interactions_of(rows, 13))
    before = {name: one.clone() for name, one in writer.named_parameters() if not one.requires_grad}
    train(made, TrainConfig(epochs=6, learning_rate=0.02, device="cpu"), seed=0, artifacts=dict.fromkeys(made.needs))
    codes, log_prob = writer.write(history_of([[4, 2, 6], [2, 12, 10], [8]]), 2)
    assert codes[:, 0].tolist() == [[1, 1], [2, 0], [0, 0]]
    assert (log_prob[:, 0] > np.log(0.5)).all()
    assert all(one.equal(before[name]) for name, one in writer.named_parameters() if name in before)
    assert len(before) > 10


def test_all_interests_add_up_and_rows_hang_on_themselves_alone():
    writer, _ = learned(some_interactions())
    past = history_of([[1, 2, 3], [4], [], [5, 6, 7, 8, 9, 10], [3, 2, 1], [2, 2, 2], [7, 8, 9], [9, 8, 7]])
    codes, log_prob = writer.write(past, 6)
    there = np.arange(8) != 2
    assert (codes[2] == -1).all()
    np.testing.assert_allclose(np.exp(log_prob[there]).sum(1), 1, rtol=1e-4)
    assert (np.diff(log_prob[there], axis=1) <= 0).all()
    for row in np.flatnonzero(there):
        alone = writer.write(past.take([row]), 6)
        assert (alone[0][0] == codes[row]).all()
        np.testing.assert_allclose(alone[1][0], log_prob[row], rtol=1e-4)


def test_what_is_stored_is_the_adapter_and_the_new_rows():
    writer, _ = learned(some_interactions(), seed=2)
    arrays = writer.arrays()
    own = {name for name in arrays if not name.startswith(("coded.", "base."))} - {"seed", "cut_us"}
    assert {name for name in own if "lora_" not in name} == {"words.rows", "words.output"}
    assert arrays["words.rows"].shape == (5, 32)
    again = LoraWriter.from_arrays(SMALL, arrays, base=tiny())
    past = history_of([[1, 2, 3], []])
    for one, other in zip(writer.write(past, 3), again.write(past, 3), strict=True):
        assert (one == other).all()
    assert again.fingerprint == writer.fingerprint
    assert again.cut_us == writer.cut_us > 0
    with torch.no_grad():
        again.words.rows[0, 0] += 1
    assert again.fingerprint != writer.fingerprint


def test_another_base_is_refused_by_name():
    writer, _ = learned(some_interactions())
    with pytest.raises(ArtifactError, match=r"belongs on tiny \(abababababababab\).*is tiny \(cdcdcdcdcdcdcdcd\)"):
        LoraWriter.from_arrays(SMALL, writer.arrays(), base=tiny("cd" * 32))


def test_bad_input(tmp_path):
    with pytest.raises(DataError, match="lora: no user has two events of items with codes"):
        learned(interactions_of([[1], [2]], 4))
    with pytest.raises(ConfigError, match="and tiny sees 256. Lower length"):
        learned(some_interactions(), replace(SMALL, length=200))
    with pytest.raises(ConfigError, match="Set it to false"):
        parse(LoraWriterConfig, {"train": {"shard": True}}, where="shop.toml")
    with pytest.raises(DataError, match="no file or folder|cut short|can't be read|GGUF"):
        LoraWriter(replace(SMALL, model=str(tmp_path / "none.gguf"))).learn(some_interactions(), {"semantic_ids": ids_of(20)})


@needs_smollm
def test_the_published_model_learns_codes():
    """Three steps of one batch: the loss falls, and it writes what can be written."""
    interactions = interactions_of([[6, 4, 2, 6, 4], [4, 2, 12, 10, 8]] * 2, 13)
    settings = LoraWriterConfig(model=str(smollm_file()), length=5, thin=0.0, batch_size=4)
    writer = LoraWriter(settings)
    made = writer.learn(interactions, {"semantic_ids": ids_of(13)})
    batch, services = made.batches.epoch(0)[0], Services({}, torch.Generator())

    def loss():
        with torch.no_grad():
            return float(made.objectives[0](writer.eval(), batch, services)["next_code"].mean)

    before = loss()
    train(made, TrainConfig(epochs=3, learning_rate=1e-3, device="cpu"), seed=0, artifacts=dict.fromkeys(made.needs))
    assert loss() < before - 0.1
    codes, log_prob = writer.write(history_of([[6, 4, 2], [2]]), 3)
    assert (codes >= 0).all()
    assert (log_prob > -np.inf).all()
    assert sum(values.size for name, values in writer.arrays().items() if name.startswith("words.")) < 6_000_000
