import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from torch.testing import assert_close

from headrace.contracts.errors import MissingExtra
from headrace.nn.attention import on_gpu
from headrace.nn.attention.attend import attend
from headrace.nn.attention.masks import BlockSparse, Causal, Documents, MaskSpec
from headrace.nn.attention.patterns import BlockPattern
from headrace.nn.attention.places import Places, Span

PATTERN = BlockPattern(16, 1, 2, 2)
MASK = MaskSpec(Causal(), BlockSparse(PATTERN))
needs_triton = pytest.mark.skipif(find_spec("triton") is None, reason="Triton is not installed: the gpu extra")


def printed(script: str, **more: str):
    command = [sys.executable, str(Path(__file__).with_name(script))]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **more})
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout.splitlines()[-1])


@needs_triton
def test_interpreted_kernels_are_the_dense_mask():
    for case, differences in printed("interpreted.py", TRITON_INTERPRET="1").items():
        for name, difference in differences.items():
            assert difference < 1e-5, f"{case}: {name}"


@needs_triton
def test_kernels_compile_for_a_gpu_that_need_not_be_there(tmp_path):
    needed = printed("compiled.py", TRITON_CACHE_DIR=str(tmp_path))
    assert needed.keys() == {"forward", "of_queries", "of_keys"}
    assert max(needed.values()) < 99 * 1024, "what a small GPU's processor has"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.bfloat16, 3e-2)])
def test_kernels_on_a_gpu_are_the_dense_mask(dtype, tolerance):
    """bfloat16 has 8 bits: 2^-8 of each of a few roundings."""
    pattern = BlockPattern(32, 2, 4, 4)
    mask, found = MaskSpec(Causal(), BlockSparse(pattern)), []
    for backend in ("dense", "triton"):
        draw = torch.Generator("cuda").manual_seed(0)
        q, k, v = (
            torch.randn(2, heads, 1000, 64, generator=draw, device="cuda").to(dtype).requires_grad_() for heads in (8, 4, 4)
        )
        out, lse = attend(q, k, v, mask, need_lse=True, backend=backend)
        assert lse is not None
        (out.float().sin().sum() + lse.cos().sum()).backward()
        found.append([out.detach(), lse.detach(), q.grad, k.grad, v.grad])
    for one, other in zip(*found, strict=True):
        assert_close(one.float(), other.float(), rtol=tolerance, atol=tolerance)


@pytest.fixture
def installed(monkeypatch):
    monkeypatch.setattr(on_gpu, "find_spec", lambda name: "there")
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    on_gpu.pays.cache_clear()
    yield
    on_gpu.pays.cache_clear()


def test_what_is_missing_is_said(monkeypatch):
    monkeypatch.setattr(on_gpu, "find_spec", lambda name: None)
    x = torch.zeros(1, 2, 40, 8)
    with pytest.raises(MissingExtra, match=r"triton.*headrace\[gpu\]"):
        attend(x, x, x, MASK, backend="triton")
    on_gpu.pays.cache_clear()
    assert not on_gpu.pays(PATTERN, 100_000)
    on_gpu.pays.cache_clear()


def test_a_cpu_is_refused(installed):
    x = torch.zeros(1, 2, 40, 8)
    with pytest.raises(ValueError, match="needs tensors on a GPU; these are on cpu"):
        attend(x, x, x, MASK, backend="triton")


def test_blocks_that_no_matrix_unit_takes_are_refused(installed, monkeypatch):
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    x = torch.zeros(1, 2, 40, 8)
    for block in (8, 24):
        with pytest.raises(ValueError, match=f"the pattern's are {block}"):
            attend(x, x, x, MaskSpec(Causal(), BlockSparse(BlockPattern(block, 1, 2, 2))), backend="triton")


@pytest.mark.parametrize("more", ["nothing", "dropout", "documents", "causality", "places"])
def test_only_a_pattern_alone_is_taken(installed, monkeypatch, more):
    monkeypatch.setattr(on_gpu, "kernelled", lambda q, k, v, pattern: (q, pattern))
    x = torch.zeros(1, 2, 40, 8)
    mask = MaskSpec(BlockSparse(PATTERN)) if more == "causality" else MASK
    mask = mask & Documents(torch.zeros(1, 40, dtype=torch.long)) if more == "documents" else mask
    places = Places(Span(5, 40), Span(5, 40), x.device) if more == "places" else None

    def taken(*, need_lse):
        dropout = 0.5 if more == "dropout" else 0.0
        return attend(x, x, x, mask, backend="triton", places=places, dropout=dropout, need_lse=need_lse)

    if more == "nothing":
        assert taken(need_lse=True) == (x, PATTERN)
        assert taken(need_lse=False) == (x, None)
    else:
        with pytest.raises(ValueError, match="takes a causal block pattern alone"):
            taken(need_lse=False)


def test_long_rows_of_sparse_patterns_pay(installed):
    assert on_gpu.pays(BlockPattern(64, 4, 8, 8), 8192)
    assert not on_gpu.pays(BlockPattern(64, 4, 8, 8), 8191)
    assert not on_gpu.pays(BlockPattern(64, 4, 1, 8), 8192), "all is kept"
    assert not on_gpu.pays(BlockPattern(8, 4, 8, 8), 8192), "blocks too small for a kernel"
