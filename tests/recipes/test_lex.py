from dataclasses import replace
from math import log
from typing import Any, cast

import numpy as np
import pytest
import torch

from headrace.data.tokens import Tokens
from headrace.nn.attention.attend import attend
from headrace.nn.attention.masks import Blockwise, MaskSpec
from headrace.nn.body import attention
from headrace.nn.body.transformer import Transformer
from headrace.nn.seeded import seeded
from headrace.recipes import lex
from headrace.recipes.language import fitted, open_text, row_losses
from headrace.recipes.lex import cut_losses, long_documents, resolution, score_curves
from headrace.recipes.protocol import reproduce

SMALL = lex._SMOKE


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    return open_text(SMALL.text, tmp_path_factory.mktemp("text"))


def body(position, vocabulary=280):
    with seeded(0, "body"):
        return Transformer(replace(SMALL.body({"position": position}), vocabulary=vocabulary), "decoder").eval()


def test_rows_never_cross_documents():
    tokens = Tokens.of([np.full(size, size, np.int32) for size in (9, 64, 65, 80, 12, 70)])
    found = long_documents(tokens, 64, most=2)
    assert found.shape == (2, 65)
    assert (found == found[:, :1]).all()
    assert set(long_documents(tokens, 64, most=9)[:, 0].tolist()) == {65, 80, 70}


def test_every_length_is_read_on_the_same_targets():
    documents = torch.randint(280, (3, 65), generator=torch.Generator().manual_seed(0))
    one = body("rope")
    assert cut_losses(one, documents, 64) == pytest.approx(row_losses(one, documents))
    parts = [row_losses(one, documents[:, begin : begin + 17]) for begin in (0, 16, 32, 48)]
    assert cut_losses(one, documents, 16) == pytest.approx(np.mean(parts, 0))


def test_at_the_trained_length_blocks_are_whole_attention_and_beyond_they_are_not():
    documents = torch.randint(280, (3, 65), generator=torch.Generator().manual_seed(0))
    one, blocks = body("xpos"), MaskSpec(Blockwise(SMALL.trained // 2))
    assert cut_losses(one, documents, SMALL.trained, blocks) == pytest.approx(cut_losses(one, documents, SMALL.trained), abs=1e-6)
    assert not np.allclose(cut_losses(one, documents, 32, blocks), cut_losses(one, documents, 32), atol=1e-5)


def test_a_table_beyond_its_trained_rows_is_as_it_was_drawn(text):
    given: dict[str, Any] = {"rate": 8e-3, "rows": 8, "length": SMALL.trained, "seed": 0}
    few, more = (fitted(text, SMALL.body({"position": "learned"}), **given, tokens=tokens) for tokens in (64, 20 * 64))
    trained, never = (one.get_parameter("stack.added.table.weight").split([SMALL.trained, 56]) for one in (few, more))
    assert trained[1].equal(never[1])
    assert not trained[0].allclose(never[0])


@pytest.mark.parametrize("position", ["xpos", "rope", "learned"])
def test_score_curves_are_means_over_pairs_as_attention_scores_them(position, monkeypatch):
    """Against the queries and keys that attention itself was given."""
    given = []

    def asked(q, k, *rest, **more):
        given.append((q, k))
        return attend(q, k, *rest, **more)

    monkeypatch.setattr(attention, "attend", asked)
    curves = score_curves(body(position), torch.arange(2 * 32).view(2, 32))
    assert curves.shape == (2, 2, 32)
    for layer, (q, k) in enumerate(given):
        scores = (q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5).detach()
        for distance in (0, 5, 31):
            pairs = [scores[:, :, place, place - distance] for place in range(distance, 32)]
            assert curves[layer, :, distance].numpy() == pytest.approx(torch.stack(pairs).mean((0, 1)).numpy(), abs=1e-5)


def test_resolution_is_of_a_falling_curve(monkeypatch):
    far, nobody = torch.arange(64.0), cast(Any, None)
    for curve, sign in ((-far / 10, 1), (far / 10, -1), (far * 0, 0)):
        monkeypatch.setattr(lex, "score_curves", lambda body, ids, curve=curve: curve.expand(2, 2, -1))
        assert np.sign(round(resolution(nobody, nobody, 8), 6)) == sign
    shares = (-far[8:32] / 10).softmax(0)
    monkeypatch.setattr(lex, "score_curves", lambda body, ids: (-far / 10).expand(2, 2, -1))
    assert resolution(nobody, nobody, 8) == pytest.approx(
        float((shares[:-1] * (shares[:-1] - shares[1:])).sum()) * 24**2, rel=1e-4
    )


def test_smoke_reports_every_claim(tmp_path):
    report = reproduce("lex", "smoke", tmp_path)
    loss = {arm.arm: arm for arm in report.arms if arm.metric == "loss"}
    assert len(loss) == 7 + 7 + 4
    assert {arm.n for arm in loss.values()} == {20}
    assert len({arm.settings["rate"] for arm in loss.values() if arm.arm.startswith("rope")}) == 1, "one run, several figures"
    assert report.difference.value == pytest.approx(loss["xpos 1x"].value - loss["xpos 8x in blocks"].value)
    assert [one.claim.margin for one in report.claims] == [0, 0, log(1.15), log(3), 0]
    assert loss["xpos 1x"].value < log(280) - 1, "it learned something"
