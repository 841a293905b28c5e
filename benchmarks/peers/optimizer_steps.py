"""What a step of a peer's optimizer takes and what it keeps, on given weights and gradients.

INPUT: weight.NAME and gradient.NAME. No OUTPUT.
SETTINGS: optimizer, one of MAKERS; rank, scaling, scale and refresh_every for those that project; plain: names that are not
projected, as no vector is; scopes: name -> names of its weights; steps. FIGURES, by scope: step_s, the median of the steps after
the first quarter; first_s, of the first step, which finds the projections; state_bytes.
"""

import json
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

warnings.simplefilter("ignore")
Groups = list[dict[str, Any]]


def apollo_torch(groups: Groups, asked: dict[str, Any]) -> torch.optim.Optimizer:
    from apollo_torch import APOLLOAdamW  # type: ignore[import-not-found, unused-ignore]

    groups[0] |= {"proj": "random", "scale_type": asked["scaling"]}
    made: torch.optim.Optimizer = APOLLOAdamW(groups, lr=0.01, weight_decay=0.0)
    return made


def galore_torch(groups: Groups, asked: dict[str, Any]) -> torch.optim.Optimizer:
    from galore_torch import GaLoreAdamW  # type: ignore[import-not-found, unused-ignore]

    made: torch.optim.Optimizer = GaLoreAdamW(groups, lr=0.01, weight_decay=0.0)
    return made


def galore_torch_8bit(groups: Groups, asked: dict[str, Any]) -> torch.optim.Optimizer:
    from galore_torch import GaLoreAdamW8bit

    made: torch.optim.Optimizer = GaLoreAdamW8bit(groups, lr=0.01, weight_decay=0.0)
    return made


def bitsandbytes(groups: Groups, asked: dict[str, Any]) -> torch.optim.Optimizer:
    from bitsandbytes.optim import AdamW8bit  # type: ignore[import-not-found, unused-ignore]

    made: torch.optim.Optimizer = AdamW8bit(_flat(groups), lr=0.01, weight_decay=0.0)
    return made


def torchao(groups: Groups, asked: dict[str, Any]) -> torch.optim.Optimizer:
    from torchao.optim import AdamW8bit  # type: ignore[import-not-found, unused-ignore]

    made: torch.optim.Optimizer = AdamW8bit(_flat(groups), lr=0.01, weight_decay=0.0)
    return made


MAKERS: dict[str, Callable[[Groups, dict[str, Any]], torch.optim.Optimizer]] = {
    "apollo-torch": apollo_torch, "galore-torch": galore_torch, "galore-torch 8bit": galore_torch_8bit,
    "bitsandbytes": bitsandbytes, "torchao": torchao,
}  # fmt: skip


def main() -> None:
    asked = json.loads(sys.argv[3])
    torch.set_num_threads(1)
    with np.load(sys.argv[1]) as given:
        arrays = {name: torch.from_numpy(given[name]) for name in given.files}
    found = {}
    for scope, names in asked["scopes"].items():
        weights = {name: torch.nn.Parameter(arrays[f"weight.{name}"].clone()) for name in names}
        for name, weight in weights.items():
            weight.grad = arrays[f"gradient.{name}"]
        optimizer, taken = MAKERS[asked["optimizer"]](_groups(weights, asked), asked), []
        for _ in range(asked["steps"]):
            started = time.process_time()
            optimizer.step()
            taken.append(time.process_time() - started)
        step_s = statistics.median(taken[len(taken) // 4 :])
        found[scope] = {"step_s": step_s, "first_s": taken[0], "state_bytes": state_bytes(optimizer)}
    print(json.dumps(found))


def _groups(weights: dict[str, torch.nn.Parameter], asked: dict[str, Any]) -> Groups:
    """What is projected, first, and the rest."""
    low = {name for name, one in weights.items() if one.dim() == 2 and name not in asked["plain"]}
    settings = {"rank": asked["rank"], "update_proj_gap": asked["refresh_every"], "scale": asked["scale"], "proj_type": "std"}
    projected = {"params": [one for name, one in weights.items() if name in low], **settings}
    rest = [one for name, one in weights.items() if name not in low]
    return [projected, {"params": rest}] if rest else [projected]


def _flat(groups: Groups) -> list[torch.nn.Parameter]:
    return [one for group in groups for one in group["params"]]


def state_bytes(optimizer: torch.optim.Optimizer) -> int:
    """As `headrace.optim.state` counts: tensors and numbers, and the tensors of the projections; what is shared counts once."""
    state = [value for one in optimizer.state.values() for value in one.values()]
    held = {one.data_ptr(): one.numel() * one.element_size() for value in state for one in _tensors(value)}
    return sum(held.values()) + 8 * sum(isinstance(value, int | float) for value in state)


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    if hasattr(value, "__tensor_flatten__"):  # torchao's, of codes and scales
        for name in value.__tensor_flatten__()[0]:
            yield getattr(value, name)
    elif isinstance(value, torch.Tensor):
        yield value
    elif hasattr(value, "ortho_matrix"):
        yield value.ortho_matrix


if __name__ == "__main__":
    main()
