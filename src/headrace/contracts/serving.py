"""How a server keeps its logs and how it computes: [serve] in TOML."""

from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le

from headrace.contracts.config import config


@config
class ServeConfig:
    """unshown_share: of candidates that were not shown, the share that is logged; `logged_p` of those rows.

    queue: answers that may wait to be logged; further ones are counted and not logged. rotate_s: a log file is closed at this
    age. sync_s: how much of what was acknowledged a power cut may take. recent: answers kept, so that a request sent again gets
    the page it got. history: newest events a request carries; as many as a scorer reads where those are more. states_mb: memory
    for what scorers keep of the users who asked last, so that it is not made of their whole histories again; 0: none. map_gb:
    address space of the online state, its largest size.
    runtime: onnx was the faster in most runs (docs/serving.md); what has no exporter runs in torch either way.
    """

    unshown_share: Annotated[float, Gt(0), Le(1)] = 0.1
    queue: Annotated[int, Gt(0)] = 2048
    rotate_s: Annotated[float, Gt(0)] = 10.0
    sync_s: Annotated[float, Gt(0)] = 1.0
    recent: Annotated[int, Ge(0)] = 10_000
    history: Annotated[int, Gt(0)] = 1000
    states_mb: Annotated[float, Ge(0)] = 256.0
    map_gb: Annotated[float, Gt(0)] = 16.0
    runtime: Literal["onnx", "torch"] = "onnx"
