"""Where a run stands, in one safetensors file: tensors by name, everything else as JSON in its header. No pickle.

Draws are functions of (seed, step), and batches of (epoch, index), so no generator's state has to be kept. What is kept: the
position with the curve so far, the weights, the best weights, the averaged ones, the optimizer's state and the balancer's.
"""

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from headrace.contracts.errors import ArtifactError
from headrace.train.nest import put_together, taken_apart

FORMAT = 2
"""1 had no averaged weights."""


@dataclass
class Position:
    """epoch and index of the next batch; step: optimizer steps done; best: the best validation value and its epoch, if any.

    sums: of this epoch's losses so far, in the order of the steps, so that a curve goes on in the same bits.
    """

    epoch: int = 0
    index: int = 0
    step: int = 0
    best_value: float | None = None
    best_epoch: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    curve: list[dict[str, float]] = field(default_factory=list)


@dataclass(frozen=True)
class Resumed:
    """What a checkpoint gives back beside the weights and the optimizer's state, which `load` puts in place."""

    position: Position
    best: dict[str, Tensor]
    ema: dict[str, Tensor]
    balancer: Any
    ranks: int


def save(path: Path, *, run: str, position: Position, module: nn.Module, optimizer: torch.optim.Optimizer,
         best: Mapping[str, Tensor], ema: Mapping[str, Tensor], balancer: Any, ranks: int = 1) -> None:  # fmt: skip
    """run: what is being trained; a checkpoint of another run is not taken up. Atomic: a kill leaves the old file or the new."""
    tensors: dict[str, Tensor] = {}
    header = {
        "format": FORMAT,
        "run": run,
        "ranks": ranks,
        "position": asdict(position),
        "model": taken_apart(module.state_dict(), "model", tensors),
        "best": taken_apart(best, "best", tensors),
        "ema": taken_apart(ema, "ema", tensors),
        "optimizer": taken_apart(optimizer.state_dict(), "optimizer", tensors),
        "balancer": taken_apart(balancer, "balancer", tensors),
    }
    # cloned: tied weights share their memory, and the file format refuses that
    whole = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _leave_no_half(path)
        handle, made = tempfile.mkstemp(prefix=f".{path.name}-", suffix=".tmp", dir=path.parent)
        os.close(handle)
        try:
            save_file(whole, made, {"headrace": json.dumps(header)})
            os.replace(made, path)
        except BaseException:
            os.unlink(made)
            raise
    except (OSError, SafetensorError) as error:
        raise ArtifactError(f"{path}: the checkpoint could not be written ({error}). What stood there still does.") from None


def load(path: Path, *, run: str, module: nn.Module, optimizer: torch.optim.Optimizer) -> Resumed:
    """Fills module and optimizer. ArtifactError when the file is torn, not ours, of a newer format or of another run."""
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {})["headrace"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
        version, ranks = header["format"], header["ranks"]
        position = Position(**header["position"])
        kept = ("model", "best", "optimizer", "balancer")
        model, best, state, balancer = (put_together(header[name], tensors) for name in kept)
        ema = put_together(header["ema"], tensors) if version != 1 else {}
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise ArtifactError(f"{path}: not a whole checkpoint of ours ({error}). Delete it to train from the start.") from None
    if version not in (1, FORMAT):
        raise ArtifactError(f"{path}: format {version!r}, this Headrace reads {FORMAT}. Delete it to train from the start.")
    if header["run"] != run:
        raise ArtifactError(f"{path}: is of another run (other data or settings). Delete it, or point to another folder.")
    try:
        module.load_state_dict(model)
        optimizer.load_state_dict(state)
    except (RuntimeError, ValueError, KeyError) as error:
        raise ArtifactError(f"{path}: is of another model or optimizer ({error}). Delete it to train from the start.") from None
    return Resumed(position, best, ema, balancer, ranks)


def _leave_no_half(path: Path) -> None:
    """A process killed while writing leaves its half behind; one run has one writer, so it is nobody else's."""
    for half in path.parent.glob(f".{path.name}-*.tmp"):
        half.unlink(missing_ok=True)
