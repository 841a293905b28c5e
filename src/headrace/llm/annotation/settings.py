"""The sections of an annotation's TOML: see `plan`, which puts them together."""

from dataclasses import field
from typing import Annotated, Literal

from annotated_types import Ge, Gt

from headrace.contracts.config import config


@config
class RowsConfig:
    """path: a file (Parquet, CSV, TSV, JSONL), a folder of Parquet files, or a pattern. key: the column that names a row, each
    once; of conversations, the one whose equal values are one conversation. index, role, content: columns of a turn.
    characters: of a transcript, at most. chunk: rows that are in memory as chats, and that are written together."""

    path: str
    key: str
    kind: Literal["table", "conversations"] = "table"
    index: str = "index"
    role: str = "role"
    content: str = "content"
    characters: Annotated[int, Gt(0)] = 6000
    chunk: Annotated[int, Gt(0)] = 1000


@config
class PromptConfig:
    """name: a prompt that comes with Headrace; file: one of yours, from the TOML's folder. fields: field of the prompt = column
    of the rows, where their names differ. values: field = one text or number for all rows."""

    name: str = ""
    file: str = ""
    fields: dict[str, str] = field(default_factory=dict)
    values: dict[str, str | int | float] = field(default_factory=dict)


@config
class SamplingConfig:
    """max_tokens: of an answer. temperature: 0 takes the likeliest token each time. seed: of the draws."""

    max_tokens: Annotated[int, Gt(0)] = 256
    temperature: Annotated[float, Ge(0)] = 0.0
    seed: int = 0


@config
class RayConfig:
    """Of --ray. workers: processes that ask, each with a model of its own. cpus, gpus: that each of them takes. address: of a
    cluster that runs; "" starts one here. What [model.server] says of rates and concurrency holds for all workers together."""

    workers: Annotated[int, Gt(0)] = 2
    cpus: Annotated[float, Ge(0)] = 1.0
    gpus: Annotated[float, Ge(0)] = 0.0
    address: str = ""
