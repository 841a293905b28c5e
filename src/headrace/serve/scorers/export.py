"""Fitted components as ONNX files, by their public forms: a sequence retriever's hidden and logits, a two-tower retriever's
user and item, a scorer's user and score.

Files are traced, rows (and a request's candidates, and a sequence's length) dynamic. A component that is none of these has no
file and runs as it is. Large weights lie beside a file, in FILE.weights.
"""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from headrace.contracts.batch import Schema
from headrace.contracts.rng import rng
from headrace.encode.export import OPSET
from headrace.encode.optional import optional

REVISION = 2
"""Raised when a file's bytes or meaning change."""
TOLERANCE = 1e-5
_LARGE_BYTES = 1 << 20
"""A weight that is larger lies in a file of its own, which ONNX Runtime maps: processes share it."""

Axes = Mapping[str, Mapping[int, str]]


class SequenceScores(nn.Module):
    """items [R, T] oldest first, ends [R] the place of the newest -> scores [R, n_items]; where the model has an index of its
    items, what that is asked with, [R, d]."""

    def __init__(self, model: Any):
        super().__init__()
        self.model, self.alone = model, has_index(model)

    def forward(self, items: Tensor, ends: Tensor) -> Tensor:
        hidden = self.model.hidden(items)
        newest: Tensor = hidden.gather(1, ends.view(-1, 1, 1).expand(-1, 1, hidden.shape[-1])).squeeze(1)
        if self.alone:
            return newest
        scores: Tensor = self.model.logits(newest)
        return scores


class TowerScores(nn.Module):
    """The schema's tensors, in its order -> scores [R, n_items]. Items' vectors are worked out here and kept in the file."""

    def __init__(self, model: Any):
        super().__init__()
        self.model, self.names = model, list(model.schema)
        with torch.no_grad():
            self.register_buffer("items", model.item(torch.arange(len(model.available))).T.contiguous())
        self.items: Tensor

    def forward(self, *tensors: Tensor) -> Tensor:
        scores: Tensor = self.model.user(dict(zip(self.names, tensors, strict=True))) @ self.items
        return scores


class TowerQueries(nn.Module):
    """The schema's tensors, in its order -> what an index of the items is asked with, [R, d]."""

    def __init__(self, model: Any):
        super().__init__()
        self.model, self.names = model, list(model.schema)

    def forward(self, *tensors: Tensor) -> Tensor:
        query: Tensor = self.model.user(dict(zip(self.names, tensors, strict=True)))
        return query


class UserSide(nn.Module):
    """The schema's tensors, in its order -> the state's, in the order of their names."""

    def __init__(self, scorer: Any):
        super().__init__()
        self.scorer, self.names = scorer, list(scorer.schema)

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        state = self.scorer.user(dict(zip(self.names, tensors, strict=True)))
        return tuple(state[name] for name in sorted(state))


class ScoreSide(nn.Module):
    """The state's tensors, then the candidates' -> the logits that order, [R, C]: the first entry's."""

    def __init__(self, scorer: Any, state: Sequence[str]):
        super().__init__()
        self.scorer, self.state, self.names = scorer, list(state), list(scorer.candidate_schema)

    def forward(self, *tensors: Tensor) -> Tensor:
        cut = len(self.state)
        state = dict(zip(self.state, tensors[:cut], strict=True))
        candidates = dict(zip(self.names, tensors[cut:], strict=True))
        logits: Tensor = next(iter(self.scorer.score(state, candidates).logits.values()))
        return logits


def is_sequence(component: Any) -> bool:
    return isinstance(component, nn.Module) and all(hasattr(component, name) for name in ("hidden", "logits", "available"))


def is_towers(component: Any) -> bool:
    names = ("retrieve", "user", "item", "schema", "available")
    return isinstance(component, nn.Module) and all(hasattr(component, name) for name in names)


def has_index(component: Any) -> bool:
    """Whether a retriever looks its items up in an index, `nearest`, in place of scoring all of them."""
    return getattr(component, "nearest", None) is not None


def is_scorer(component: Any) -> bool:
    return isinstance(component, nn.Module) and all(hasattr(component, name) for name in ("user", "score", "schema"))


def export_sequence(model: Any, path: Path) -> None:
    """Inputs "items", "ends"; output "scores"."""
    items = torch.ones(2, 3, dtype=torch.long)
    axes = {"items": {0: "rows", 1: "length"}, "ends": {0: "rows"}, "scores": {0: "rows"}}
    _export(SequenceScores(model).eval(), (items, torch.tensor([2, 1])), path, ["items", "ends"], ["scores"], axes)


def export_towers(model: Any, path: Path) -> None:
    """Inputs as in the schema; output "scores", or what the model's index is asked with."""
    inputs = tuple(some_batch(model.schema, rows=2).values())
    axes = {name: {0: "rows"} for name in (*model.schema, "scores")}
    towers = TowerQueries(model.eval()) if has_index(model) else TowerScores(model.eval())
    _export(towers, inputs, path, list(model.schema), ["scores"], axes)


def export_user(scorer: Any, path: Path) -> list[str]:
    """Inputs as in the schema; outputs the state's names, which are returned in their order."""
    inputs = tuple(some_batch(scorer.schema, rows=2).values())
    with torch.inference_mode():
        state = sorted(scorer.eval().user(dict(zip(scorer.schema, inputs, strict=True))))
    axes = {name: {0: "rows"} for name in (*scorer.schema, *(f"state.{one}" for one in state))}
    _export(UserSide(scorer), inputs, path, list(scorer.schema), [f"state.{one}" for one in state], axes)
    return state


def export_score(scorer: Any, path: Path) -> None:
    """Inputs: the state's and the candidates' tensors; output "logits"."""
    with torch.no_grad():
        state = scorer.eval().user(some_batch(scorer.schema, rows=2))
    names = sorted(state)
    candidates = some_batch(scorer.candidate_schema, rows=2)
    both = {0: "rows", 1: "candidates"}
    axes = {f"state.{name}": {0: "rows"} for name in names} | dict.fromkeys((*candidates, "logits"), both)
    tensors = (*(state[name] for name in names), *candidates.values())
    _export(ScoreSide(scorer, names), tensors, path, [*(f"state.{name}" for name in names), *candidates], ["logits"], axes)


def some_batch(schema: Schema, rows: int = 3, seed: int = 0) -> dict[str, Tensor]:
    """Rows of another number and width than the trace saw; codes 0 and 1 are in every table."""
    draw, found = rng(seed, "export"), {}
    for name, field in schema.items():
        shape = [axis if isinstance(axis, int) else {"rows": rows}.get(axis, 5) for axis in field.shape]
        values = draw.integers(0, 2, shape) if "int" in field.dtype else draw.normal(size=shape)
        found[name] = torch.from_numpy(values).to(getattr(torch, field.dtype))
    return found


def some_sequences(length: int, rows: int = 3, seed: int = 0) -> tuple[Tensor, Tensor]:
    draw = rng(seed, "export")
    items = torch.from_numpy(draw.integers(0, 2, (rows, length)))
    return items, torch.from_numpy(draw.integers(0, length, rows))


def check_equal(eager: Tensor, exported: NDArray[Any]) -> None:
    """Not by torch.testing, which loads sympy: 40 MB that a server would hold from then on."""
    there = eager.numpy()
    if (exported.shape, exported.dtype) != (there.shape, there.dtype):
        raise ArithmeticError(f"{exported.dtype} {exported.shape} from the file, {there.dtype} {there.shape} from torch")
    if not np.allclose(exported, there, rtol=TOLERANCE, atol=TOLERANCE):
        raise ArithmeticError(f"the file's values differ from torch's by {np.abs(exported - there).max():.3g}")


def _export(module: nn.Module, inputs: tuple[Tensor, ...], path: Path, names: list[str], outputs: list[str], axes: Axes) -> None:
    onnx: Any = optional("onnx", package="onnx", extra="serve", purpose="Exporting a model")
    with warnings.catch_warnings():
        # the traced exporter needs no compiler of its own; it says that it is the older of the two
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module.eval(), inputs, path, dynamo=False, opset_version=OPSET, input_names=names, output_names=outputs,
            dynamic_axes=axes, do_constant_folding=True,
        )  # fmt: skip
    onnx.save_model(
        onnx.load(path), path, save_as_external_data=True, all_tensors_to_one_file=True, location=f"{path.name}.weights",
        size_threshold=_LARGE_BYTES,
    )  # fmt: skip
