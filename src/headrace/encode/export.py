"""A sentence encoder's body as an ONNX file, which runs without torch."""

import warnings
from pathlib import Path

import torch

from headrace.encode.bert import SentenceBert
from headrace.encode.optional import optional

OPSET = 17
"""The first with LayerNormalization as one node."""


def export(model: SentenceBert, path: Path) -> None:
    """Inputs "tokens" and "kept" [texts, length] int64; output "vectors" [texts, dim] float32."""
    optional("onnx", package="onnx", extra="text", purpose="Exporting an encoder")
    tokens = torch.ones(2, 5, dtype=torch.long)
    axes = {0: "texts", 1: "length"}
    with warnings.catch_warnings():
        # the traced exporter is the one that needs no compiler of its own; it says that it is the older of the two
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model,
            (tokens, torch.ones_like(tokens)),
            path,
            dynamo=False,
            opset_version=OPSET,
            input_names=["tokens", "kept"],
            output_names=["vectors"],
            dynamic_axes={"tokens": axes, "kept": axes, "vectors": {0: "texts"}},
        )
