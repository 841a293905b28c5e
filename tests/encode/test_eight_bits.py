import numpy as np
import onnx
import pytest
import torch

from headrace.encode.bert import SentenceBert
from headrace.encode.eight_bits import Smoothed, quantise, smooth
from headrace.encode.sentences import SentenceEncoder, SentencesConfig
from tests.encode import tiny

TEXTS = ["a teapot of iron", "a green cup of tea", "kettle, 100 g", "tea"]


def body():
    return SentenceBert.of(tiny.tensors(), tiny.HEADS)


@torch.no_grad()
def test_what_is_smoothed_computes_the_same():
    smoothed, tokens = body(), torch.randint(4, 15, (3, 7), generator=torch.Generator().manual_seed(0))
    smooth(smoothed)
    assert isinstance(smoothed.blocks[0].narrow, Smoothed)
    there = torch.ones_like(tokens)
    torch.testing.assert_close(smoothed(tokens, there), body()(tokens, there), rtol=1e-5, atol=1e-6)


@torch.no_grad()
def test_size_moves_from_what_is_read_into_the_map():
    """By hand: of 16 read and rows of 1, s = 16^0.6."""
    linear = torch.nn.Linear(2, 1, bias=False)
    linear.weight.copy_(torch.tensor([[1.0, -1.0]]))
    made = Smoothed(linear, torch.tensor([16.0, 1.0]))
    torch.testing.assert_close(made.by, torch.tensor([16**-0.6, 1.0]))
    torch.testing.assert_close(linear.weight, torch.tensor([[16**0.6, -1.0]]))
    torch.testing.assert_close(made(torch.tensor([16.0, 3.0])), torch.tensor([13.0]))


def test_vectors_stay_near_and_the_first_half_s_narrowing_maps_as_they_are(tiny_folder, tmp_path):
    quantise(body(), tmp_path / "model.onnx")
    whole, small = (
        SentenceEncoder(folder / "model.onnx", tiny_folder / "tokenizer.json", "tiny", config)
        for folder, config in (
            (tiny_folder, SentencesConfig(length=12)), (tmp_path, SentencesConfig(length=12, precision="int8")),
        )
    )  # fmt: skip
    cosine = (whole.encode(TEXTS, "item") * small.encode(TEXTS, "item")).sum(1)
    assert 0.99 < cosine.min() < 1 - 1e-7, "near, and not the same"
    nodes = onnx.load(tmp_path / "model.onnx").graph.node
    names = {kind: [node.name for node in nodes if node.op_type == kind] for kind in ("MatMul", "MatMulInteger")}
    for part in ("qkv", "/out/", "widen"):
        assert sum(part in name for name in names["MatMulInteger"]) == 2
    assert [name for name in names["MatMul"] if "narrow" in name] == ["/blocks.0/narrow/linear/MatMul"]
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


@pytest.mark.parametrize(("bits", "named"), [("fp32", "t/256"), ("int8", "t/256/int8")])
def test_vectors_of_another_precision_are_others_to_a_cache(tiny_folder, bits, named):
    made = SentenceEncoder(tiny_folder / "model.onnx", tiny_folder / "tokenizer.json", "t", SentencesConfig(precision=bits))
    assert made.fingerprint == named
    assert np.isfinite(made.encode(["tea"], "item")).all()
