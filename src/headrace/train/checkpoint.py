"""Where a run stands, in one safetensors file: tensors by name, everything else as JSON in its header. No pickle.

Draws are functions of (seed, step), and batches of (epoch, index), so no generator's state has to be kept.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from headrace.contracts.errors import ArtifactError


@dataclass
class Position:
    """epoch and index of the next batch; step: optimizer steps done; best: the best validation value and its epoch, if any."""

    epoch: int = 0
    index: int = 0
    step: int = 0
    best_value: float | None = None
    best_epoch: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    curve: list[dict[str, float]] = field(default_factory=list)


def save(path: Path, *, run: str, position: Position, module: nn.Module, optimizer: torch.optim.Optimizer,
         best: Mapping[str, Tensor], balancer: Mapping[str, Any]) -> None:  # fmt: skip
    """run: what is being trained; a checkpoint of another run is not taken up. Atomic: a kill leaves the old file or the new."""
    tensors: dict[str, Tensor] = {f"model.{name}": value for name, value in module.state_dict().items()}
    tensors |= {f"best.{name}": value for name, value in best.items()}
    state = optimizer.state_dict()
    scalars: dict[str, dict[str, Any]] = {}
    for number, entries in state["state"].items():
        for name, value in entries.items():
            if isinstance(value, Tensor):
                tensors[f"optimizer.{number}.{name}"] = value
            else:
                scalars.setdefault(str(number), {})[name] = value
    rest = {"run": run, "position": vars(position), "groups": state["param_groups"], "scalars": scalars, "balancer": balancer}
    whole = path.with_suffix(f".{os.getpid()}.tmp")
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(
        {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}, whole, {"state": json.dumps(rest)}
    )
    os.replace(whole, path)


def load(path: Path, *, run: str, module: nn.Module, optimizer: torch.optim.Optimizer) -> tuple[Position, dict[str, Tensor], Any]:
    """Fills module and optimizer; returns the position, the best weights so far, and the balancer's state."""
    try:
        with safe_open(path, framework="pt") as file:
            rest = json.loads(file.metadata()["state"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise ArtifactError(f"{path}: not a checkpoint of ours ({error}). Delete it to train from the start.") from None
    if rest["run"] != run:
        raise ArtifactError(f"{path}: is of another run (other data or settings). Delete it, or point to another folder.")
    parts: dict[str, dict[str, Tensor]] = {"model": {}, "best": {}, "optimizer": {}}
    for name, value in tensors.items():
        part, key = name.split(".", 1)
        parts[part][key] = value
    module.load_state_dict(parts["model"])
    entries: dict[int, dict[str, Any]] = {int(number): dict(values) for number, values in rest["scalars"].items()}
    for key, value in parts["optimizer"].items():
        number, name = key.split(".", 1)
        entries.setdefault(int(number), {})[name] = value
    optimizer.load_state_dict({"state": entries, "param_groups": rest["groups"]})
    return Position(**rest["position"]), parts["best"], rest["balancer"]
