"""Nested state (an optimizer's, a balancer's) as JSON and named tensors, and back. Nothing is pickled.

    taken_apart({"step": 3, "moment": tensor}, "balancer", tensors)  ->  JSON; tensors["balancer.moment"] is the tensor
    put_together(that JSON, tensors)                                 ->  {"step": 3, "moment": tensor}

Keys and tuples come back as they were, and floats to the last bit: JSON writes the shortest text that reads back the same.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from headrace.contracts.errors import HeadraceError


def taken_apart(value: Any, path: str, tensors: dict[str, Tensor]) -> Any:
    """What JSON can hold; the tensors go to `tensors` under their path. HeadraceError for anything else, naming where it is."""
    match value:
        case Tensor():
            tensors[path] = value
            return {"tensor": path}
        case Mapping():
            return {"map": [[key, taken_apart(entry, f"{path}.{key}", tensors)] for key, entry in value.items()]}
        case list() | tuple():
            entries = [taken_apart(entry, f"{path}.{place}", tensors) for place, entry in enumerate(value)]
            return {"tuple" if isinstance(value, tuple) else "list": entries}
        case None | bool() | int() | float() | str():
            return value
        case _:
            raise HeadraceError(
                f"{path} is a {type(value).__name__}: a checkpoint holds tensors, numbers, text, lists and mappings. "
                "Change what its state_dict() returns."
            )


def put_together(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    match value:
        case {"tensor": path}:
            return tensors[path]
        case {"map": entries}:
            return {key: put_together(entry, tensors) for key, entry in entries}
        case {"list": entries}:
            return [put_together(entry, tensors) for entry in entries]
        case {"tuple": entries}:
            return tuple(put_together(entry, tensors) for entry in entries)
        case _:
            return value
