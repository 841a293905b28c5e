from dataclasses import replace
from math import log
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch.nn.functional import one_hot

from headrace.nn.body.call import Inputs
from headrace.nn.body.transformer import Transformer
from headrace.nn.seeded import seeded
from headrace.recipes import s2_attention
from headrace.recipes.key_rows import SLOTS, VALUES
from headrace.recipes.protocol import reproduce
from headrace.recipes.s2_attention import ARMS, RETRIEVAL, TEXT, S2Config, asked_rows, scored

SMALL = s2_attention._SMOKE


@pytest.mark.parametrize("chosen", [S2Config(), s2_attention._FULL])
def test_sparse_layers_work_out_the_share_of_scores_that_the_claim_allows(chosen):
    pattern = chosen.body(ARMS["hybrid"], TEXT).block_pattern
    assert pattern.density(chosen.length) == pytest.approx(0.423, abs=5e-4)
    assert pattern.density(4096) == pytest.approx(0.296, abs=5e-4)
    assert pattern.density(chosen.length) <= 0.45
    assert chosen.body(ARMS["hybrid"], TEXT).dense_layers == chosen.body(ARMS["alike"], RETRIEVAL).dense_layers == (0,)
    assert chosen.body(ARMS["sparse"], RETRIEVAL).dense_layers == ()
    for tokens in (chosen.tokens, chosen.retrieval_tokens):
        assert tokens % (chosen.rows * chosen.length) == 0, "all arms read all of it"


def test_a_key_700_tokens_back_is_beyond_the_local_blocks_and_within_one_row():
    chosen = S2Config()
    rows = asked_rows(chosen, "test")
    places = (rows["targets"] >= 0).nonzero()[:, 1]
    assert places.max() < chosen.length
    assert chosen.back > chosen.local * chosen.block


@pytest.mark.parametrize(("arm", "heads"), [("dense", 4), ("hybrid", 1), ("sparse", 1), ("alike", 0)])
def test_which_heads_may_see_an_older_block(arm, heads):
    """Block 1, from the last: one head keeps it where heads share the past out, none where all keep the first one's share."""
    of = SMALL.body(ARMS[arm], TEXT)
    if of.block_pattern is None:
        assert heads == of.heads
        return
    last = torch.tensor([[[31]]])
    assert int(of.block_pattern.allowed(last, torch.tensor([[[1]]]), of.heads).sum()) == heads
    assert int(of.block_pattern.allowed(last, torch.tensor([[[30]]]), of.heads).sum()) == of.heads


def test_arms_differ_in_what_they_see_alone():
    bodies = {}
    for arm, own in ARMS.items():
        with seeded(0, "body"):
            bodies[arm] = Transformer(replace(SMALL.body(own, TEXT), vocabulary=64), "decoder").eval()
    first = bodies["dense"].state_dict()
    ids = torch.randint(64, (1, 128), generator=torch.Generator().manual_seed(0))
    seen = {arm: one(Inputs(ids=ids)).last for arm, one in bodies.items()}
    for arm in ("hybrid", "alike", "sparse"):
        assert all(first[name].equal(value) for name, value in bodies[arm].state_dict().items())
        assert seen[arm][:, :8].allclose(seen["dense"][:, :8], atol=1e-5)
        assert not seen[arm].allclose(seen["dense"], atol=1e-4)
    assert not seen["hybrid"].allclose(seen["alike"], atol=1e-4)


def test_scores_are_of_the_targets_alone():
    """A body that names the right key for slot 0, and 0 for all others."""
    rows = asked_rows(SMALL, "test")

    class Half:
        def __call__(self, inputs):
            return SimpleNamespace(last=inputs.ids)

        def logits(self, ids):
            asked = ids == SLOTS * VALUES
            keys = torch.where(ids < VALUES, ids, 0).sum(1, keepdim=True).expand(ids.shape)
            return 10.0 * one_hot(torch.where(asked, keys, 63), 64)

    found = scored(cast(Any, Half()), rows, at_once=5)
    assert found["accuracy"] == pytest.approx(np.full(SMALL.held_out, 1 / SLOTS))
    wrong, right = log(np.exp(10) + 63), log(np.exp(10) + 63) - 10
    assert found["loss"] == pytest.approx(np.full(SMALL.held_out, (3 * wrong + right) / 4), rel=1e-4)


def test_smoke_reports_every_claim(tmp_path):
    report = reproduce("s2_attention", "smoke", tmp_path)
    found = {(arm.protocol, arm.arm, arm.metric): arm.value for arm in report.arms}
    assert {key[:2] for key in found} == {(task, arm) for task in (TEXT, RETRIEVAL) for arm in ARMS}
    assert found[TEXT, "dense", "score_share"] == 1 > found[RETRIEVAL, "hybrid", "score_share"]
    assert report.claim.margin == log(1.02)
    assert [(one.claim.than, one.claim.protocol) for one in report.claims] == [
        ("alike", TEXT), ("dense", RETRIEVAL), ("sparse", RETRIEVAL),
    ]  # fmt: skip
    assert all(found[TEXT, arm, "loss"] < log(261) - 0.5 for arm in ARMS), "they learned something"
