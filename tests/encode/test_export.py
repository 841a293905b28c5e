import numpy as np
import pytest
import torch

from headrace.contracts.errors import MissingExtra
from headrace.encode import export as exporting
from headrace.encode import optional as optional_file


@pytest.mark.parametrize(("texts", "length"), [(1, 1), (1, 12), (7, 3)])
def test_it_equals_the_module_at_any_size(tiny_folder, tiny_bert, texts, length):
    runtime = optional_file.optional("onnxruntime", package="onnxruntime", extra="text", purpose="This test")
    session = runtime.InferenceSession(tiny_folder / "model.onnx", providers=["CPUExecutionProvider"])
    draw = torch.Generator().manual_seed(texts)
    tokens = torch.randint(4, 15, (texts, length), generator=draw)
    kept = (torch.arange(length) < torch.randint(1, length + 1, (texts, 1), generator=draw)).long()
    (found,) = session.run(None, {"tokens": tokens.numpy(), "kept": kept.numpy()})
    with torch.no_grad():
        np.testing.assert_allclose(found, tiny_bert(tokens, kept).numpy(), rtol=0, atol=1e-5)


def test_without_onnx_it_says_what_to_install(tmp_path, tiny_bert, monkeypatch):
    def absent(module):
        raise ImportError(module)

    monkeypatch.setattr(optional_file, "import_module", absent)
    with pytest.raises(MissingExtra, match=r"needs onnx, .* pip install 'headrace\[text\]'"):
        exporting.export(tiny_bert, tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []
