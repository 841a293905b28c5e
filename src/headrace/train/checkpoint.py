"""Where a run stands, in one safetensors file: tensors by name, everything else as JSON in its header. No pickle.

Draws are functions of (seed, step), and batches of (epoch, index), so no generator's state has to be kept. What is kept: the
position with the curve so far, the weights, the best weights, the averaged ones, the optimizer's state and the balancer's; and
digests of what the weights hang on. Tensors are whole, however a run lays them out, so another number of ranks reads them too.
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
from torch import Tensor

from headrace.contracts.errors import ArtifactError
from headrace.train.distributed import Ranks
from headrace.train.layout import Layout
from headrace.train.nest import put_together, taken_apart

FORMAT = 3
"""2 had no streams, no count of an epoch's steps and no digests."""


@dataclass
class Position:
    """epoch and index of the next batch; step: optimizer steps done; best: the best validation value and its epoch, if any.

    sums: of this epoch's losses so far over its `summed` steps, in their order, so that a curve goes on in the same bits.
    streams: name -> [epoch, index] of each stream's next batch.
    """

    epoch: int = 0
    index: int = 0
    step: int = 0
    best_value: float | None = None
    best_epoch: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    summed: int = 0
    curve: list[dict[str, float]] = field(default_factory=list)
    streams: dict[str, list[int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Resumed:
    """What a checkpoint gives back beside the weights and the optimizer's state, which `load` puts in place."""

    position: Position
    best: dict[str, Tensor]
    balancer: Any
    ranks: int
    format: int


def save(path: Path, *, run: str, made_of: Mapping[str, str], position: Position, layout: Layout,
         optimizer: torch.optim.Optimizer, best: Mapping[str, Tensor], balancer: Any, ranks: Ranks) -> None:  # fmt: skip
    """run: what is being trained; a checkpoint of another run is not taken up. Atomic: a kill leaves the old file or the new.

    Every rank calls this, and rank 0 writes.
    """
    tensors: dict[str, Tensor] = {}
    header = {
        "format": FORMAT,
        "run": run,
        "made_of": dict(made_of),
        "ranks": ranks.size,
        "position": asdict(position),
        "model": taken_apart(layout.states(layout.module.state_dict()), "model", tensors),
        "best": taken_apart(layout.states(best), "best", tensors),
        "ema": taken_apart(layout.average.module.state_dict() if layout.average else {}, "ema", tensors),
        "optimizer": taken_apart(layout.optimizer_states(optimizer), "optimizer", tensors),
        "balancer": taken_apart(balancer, "balancer", tensors),
    }
    whole: dict[str, Tensor] = {}
    for name, value in tensors.items():
        gathered = layout.whole(value.detach())
        if ranks.first:  # cloned: tied weights share their memory, and the file format refuses that
            whole[name] = gathered.cpu().contiguous().clone()
    if ranks.first:
        _write(path, whole, header)


def _write(path: Path, tensors: dict[str, Tensor], header: Mapping[str, Any]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _leave_no_half(path)
        handle, made = tempfile.mkstemp(prefix=f".{path.name}-", suffix=".tmp", dir=path.parent)
        os.close(handle)
        try:
            save_file(tensors, made, {"headrace": json.dumps(header)})
            os.replace(made, path)
        except BaseException:
            os.unlink(made)
            raise
    except (OSError, SafetensorError) as error:
        raise ArtifactError(f"{path}: the checkpoint could not be written ({error}). What stood there still does.") from None


def load(path: Path, *, run: str, made_of: Mapping[str, str], layout: Layout, optimizer: torch.optim.Optimizer) -> Resumed:
    """Fills the layout's weights and the optimizer.

    ArtifactError when the file is torn, not ours, of another format, made of other things or of another run.
    """
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {})["headrace"])
            version = header["format"]
            if version not in (FORMAT - 1, FORMAT):
                reads = f"{FORMAT - 1} and {FORMAT}"
                raise ArtifactError(f"{path}: format {version!r}, this Headrace reads {reads}. Delete it to start again.")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
        ranks, its = header["ranks"], header.get("made_of")
        position = Position(**header["position"])
        kept = ("model", "best", "ema", "optimizer", "balancer")
        model, best, ema, state, balancer = (put_together(header[name], tensors) for name in kept)
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise ArtifactError(f"{path}: not a whole checkpoint of ours ({error}). Delete it to train from the start.") from None
    if its is not None:
        _refuse_other(path, its, made_of)
    if header["run"] != run:
        raise ArtifactError(f"{path}: is of another run (other data or settings). Delete it, or point to another folder.")
    try:
        layout.module.load_state_dict(layout.own(model))
        if layout.average is not None:
            layout.average.module.load_state_dict(layout.own(ema))
        layout.load_optimizer(optimizer, state)
    except (RuntimeError, ValueError, KeyError) as error:
        raise ArtifactError(f"{path}: is of another model or optimizer ({error}). Delete it to train from the start.") from None
    return Resumed(position, dict(layout.own(best)), balancer, ranks, version)


def _refuse_other(path: Path, its: Mapping[str, str], ours: Mapping[str, str]) -> None:
    differ = [name for name in sorted({*its, *ours}) if its.get(name) != ours.get(name)]
    if differ:
        said = "; ".join(f"its {name} is {its.get(name, 'none')}, this run's {ours.get(name, 'none')}" for name in differ)
        raise ArtifactError(
            f"{path}: is of weights made of other things: {said}. Train with what it was made of, or delete it to train from the "
            "start."
        )


def _leave_no_half(path: Path) -> None:
    """A process killed while writing leaves its half behind; one run has one writer, so it is nobody else's."""
    for half in path.parent.glob(f".{path.name}-*.tmp"):
        half.unlink(missing_ok=True)
