"""apollo-torch 1.0.3 step by step on given gradients: where its weights go, and the projections it drew.

INPUT: weight.NAME and gradient.NAME [steps, ...]. OUTPUT: weights.NAME [steps, ...] and normal.NAME [refreshes, ...].
SETTINGS: rank, scaling, scale (its own, the square of α), lr, weight_decay, refresh_every. FIGURES: steps.
"""

import json
import sys
import warnings
from typing import Any

import numpy as np
import torch

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from apollo_torch import APOLLOAdamW  # type: ignore[import-not-found, unused-ignore]


def main() -> None:
    settings = json.loads(sys.argv[3])
    torch.set_num_threads(1)
    with np.load(sys.argv[1]) as given:
        arrays = {name: torch.from_numpy(given[name]) for name in given.files}
    weights = {name[7:]: torch.nn.Parameter(value.clone()) for name, value in arrays.items() if name.startswith("weight.")}
    matrices = [one for one in weights.values() if one.dim() == 2 and min(one.shape) > settings["rank"]]
    rest = [one for one in weights.values() if not any(one is other for other in matrices)]
    low = {
        "params": matrices, "rank": settings["rank"], "update_proj_gap": settings["refresh_every"], "scale": settings["scale"],
        "proj": "random", "proj_type": "std", "scale_type": settings["scaling"],
    }  # fmt: skip
    groups = [low, {"params": rest}] if rest else [low]
    optimizer = APOLLOAdamW(groups, lr=settings["lr"], weight_decay=settings["weight_decay"])
    steps = len(next(value for name, value in arrays.items() if name.startswith("gradient.")))
    after: dict[str, list[np.ndarray]] = {name: [] for name in weights}
    normal: dict[str, list[np.ndarray]] = {name: [] for name in weights}
    for step in range(steps):
        for name, weight in weights.items():
            weight.grad = arrays[f"gradient.{name}"][step]
        optimizer.step()
        for name, weight in weights.items():
            after[name].append(weight.detach().numpy().copy())
            if step % settings["refresh_every"] == 0 and "projector" in optimizer.state[weight]:
                drawn = optimizer.state[weight]["projector"].ortho_matrix * settings["rank"] ** 0.5
                normal[name].append(drawn.numpy().copy())
    kept: dict[str, Any] = {f"weights.{name}": np.stack(values) for name, values in after.items() if values}
    kept |= {f"normal.{name}": np.stack(values) for name, values in normal.items() if values}
    np.savez(sys.argv[2], **kept)
    print(json.dumps({"steps": steps}))


if __name__ == "__main__":
    main()
