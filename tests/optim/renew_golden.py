"""Write tests/golden/apollo.json anew with apollo-torch 1.0.3, in an environment of its own: python -m tests.optim.renew_golden

Small weights, seven gradients, the normal draws the peer made from its seeds, and where its weights went.
"""

import json
from pathlib import Path

import numpy as np

from benchmarks.peers.running import APOLLO_TORCH
from headrace.contracts.rng import rng

GOLDEN = Path(__file__).parent.parent / "golden" / "apollo.json"
SHAPES = {"tall": (6, 4), "wide": (3, 5)}
STEPS = 7
CASES = {
    "channel": {"rank": 2, "scaling": "channel", "scale": 1.0, "lr": 0.01, "weight_decay": 0.1, "refresh_every": 3},
    "tensor": {"rank": 1, "scaling": "tensor", "scale": 128.0, "lr": 0.01, "weight_decay": 0.0, "refresh_every": 3},
}


def given():
    """Gradients grow from step to step, so that the limiter has something to do."""
    arrays = {}
    for name, shape in SHAPES.items():
        draw = rng(0, "golden", name)
        arrays[f"weight.{name}"] = draw.normal(size=shape).astype(np.float32)
        grown = draw.normal(size=(STEPS, *shape)) * np.array([1, 3, 0.5, 0.6, 2, 2, 0.1]).reshape(-1, 1, 1)
        arrays[f"gradient.{name}"] = grown.astype(np.float32)
    return arrays


def main():
    found = {"given": {name: array.tolist() for name, array in given().items()}}
    for case, settings in CASES.items():
        _, arrays = APOLLO_TORCH.call("apollo_updates", given(), **settings)
        found[case] = {"settings": settings, **{name: array.tolist() for name, array in arrays.items()}}
    text = json.dumps(found, indent=1)
    GOLDEN.write_text(_short(text) + "\n")


def _short(text):
    """Numbers to nine digits, which float32 comes back from, and each row on one line."""
    rounded = json.loads(text, parse_float=lambda number: float(f"{float(number):.9g}"))
    return json.dumps(rounded)


if __name__ == "__main__":
    main()
