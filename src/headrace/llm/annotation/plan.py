"""What an annotation is: a TOML, checked whole before a row is read or a model asked.

    out = "topics.parquet"
    [rows]      path, key          which table, and what names a row
    [prompt]    name or file       what is said of each; its data fields are columns of the table
    [columns.X] type, ...          what the model fills in
    [model]     backend            local, llamacpp or server, with [model.server] and so on for its settings
    [sampling], [limits], [prices], [ray]

Paths count from the TOML's folder. Every mistake names the section and the nearest right word.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headrace.contracts.chat import Message, Sampling
from headrace.contracts.config import as_dict, parse
from headrace.contracts.errors import ConfigError, HeadraceError, listed, nearest
from headrace.llm.annotation.columns import Column, schema_of
from headrace.llm.annotation.settings import PromptConfig, RayConfig, RowsConfig, SamplingConfig
from headrace.llm.budget import Limits, Prices
from headrace.llm.chosen import Chosen, chosen
from headrace.llm.prompt import Prompt, load, load_file

SECTIONS = ("out", "rows", "prompt", "columns", "model", "sampling", "limits", "prices", "ray")
TRANSCRIPT = "transcript"
STATUS, REASON = "status", "reason"


@dataclass(frozen=True)
class Plan:
    """where: the TOML, for messages; folder: what its paths count from. fields: field of the prompt -> column."""

    where: str
    folder: Path
    out: Path
    rows: RowsConfig
    prompt: Prompt
    fields: Mapping[str, str]
    values: Mapping[str, str | int | float]
    columns: Mapping[str, Column]
    model: Chosen
    sampling: Sampling
    limits: Limits
    prices: Prices | None
    ray: RayConfig

    @property
    def schema(self) -> dict[str, Any]:
        return schema_of(self.columns)

    def chat(self, texts: Mapping[str, str]) -> list[Message]:
        return self.prompt.chat(**self.values, **texts)

    def identity(self, model_id: str, data: str) -> dict[str, Any]:
        """All that the rows of the out file depend on. data: digest of the files."""
        columns = {name: as_dict(column) for name, column in self.columns.items()}
        return {
            "rows": as_dict(self.rows) | {"path": ""}, "prompt": {"id": self.prompt.id, "fields": dict(self.fields)},
            "values": dict(self.values), "columns": columns, "order": list(columns), "model": model_id,
            "sampling": [self.sampling.max_tokens, self.sampling.temperature, self.sampling.seed], "data": data,
        }  # fmt: skip


def plan_from(values: Mapping[str, Any], *, where: str, folder: Path, out: Path | None = None) -> Plan:
    """out: of the command line, before the TOML's."""
    for name, section in values.items():
        if name not in SECTIONS:
            hint = nearest(name, SECTIONS).replace(chr(34), "")
            raise ConfigError(f"{where}: [{name}] is not a section.{hint} Sections: {listed(SECTIONS)}.")
        if name != "out" and not isinstance(section, Mapping):
            raise ConfigError(f"{where}: {name} is {section!r}, expected a section [{name}].")
    for name in ("rows", "prompt", "columns", "model"):
        if not values.get(name):
            raise ConfigError(f"{where}: [{name}] is missing. An annotation has [rows], [prompt], [columns.NAME] and [model].")
    rows = parse(RowsConfig, values["rows"], where=f"{where} [rows]")
    wording = parse(PromptConfig, values["prompt"], where=f"{where} [prompt]")
    columns = {name: _column(name, one, rows.key, where) for name, one in values["columns"].items()}
    model = chosen(values["model"], where, folder)
    drawing = parse(SamplingConfig, values.get("sampling", {}), where=f"{where} [sampling]")
    limits = parse(Limits, values.get("limits", {}), where=f"{where} [limits]")
    prices = parse(Prices, values["prices"], where=f"{where} [prices]") if "prices" in values else None
    if limits.max_cost is not None and prices is None:
        raise ConfigError(
            f"{where} [limits]: max_cost is set, but no prices. Add [prices] prompt and completion, per million tokens."
        )
    prompt = _prompt(wording, where, folder)
    return Plan(
        where, folder, _out(values.get("out", ""), out, where, folder), rows, prompt, _fields(wording, prompt, rows, where),
        wording.values, columns, model, Sampling(drawing.max_tokens, drawing.temperature, drawing.seed), limits,
        prices, parse(RayConfig, values.get("ray", {}), where=f"{where} [ray]"),
    )  # fmt: skip


def _column(name: str, values: Any, key: str, where: str) -> Column:
    place = f"{where} [columns.{name}]"
    if name in (key, STATUS, REASON):
        raise ConfigError(f'{place}: the out file has a column "{name}" already. Choose another name.')
    if not isinstance(values, Mapping):
        raise ConfigError(f"{place}: is {values!r}, expected a section with a type.")
    try:
        return parse(Column, values, where=place)
    except HeadraceError as error:
        raise ConfigError(str(error) if str(error).startswith(place) else f"{place}: {error}") from None


def _prompt(wording: PromptConfig, where: str, folder: Path) -> Prompt:
    if bool(wording.name) == bool(wording.file):
        raise ConfigError(f"{where} [prompt]: give either name, of a prompt that comes with Headrace, or file, of your own.")
    try:
        return load(wording.name) if wording.name else load_file(folder / wording.file)
    except HeadraceError as error:
        raise ConfigError(f"{where} [prompt]: {error}") from None


def _fields(wording: PromptConfig, prompt: Prompt, rows: RowsConfig, where: str) -> dict[str, str]:
    place = f"{where} [prompt]"
    for section, names in (("fields", wording.fields), ("values", wording.values)):
        for name in names:
            if name not in prompt.fields:
                raise ConfigError(
                    f'{place} {section}: "{name}" is not a field of {prompt.name}.{nearest(name, prompt.fields)} '
                    f"Fields: {listed(sorted(prompt.fields))}."
                )
    for name in sorted(prompt.trusted - wording.values.keys()):
        raise ConfigError(f'{place}: {prompt.name} trusts its field "{name}", so it is no column: set it under [prompt.values].')
    for name in sorted(wording.fields.keys() & ({*wording.values} | prompt.trusted)):
        raise ConfigError(f'{place}: "{name}" stands under fields and has a value, or is trusted. A column is data: choose one.')
    read = {name: wording.fields.get(name, name) for name in sorted(prompt.data - wording.values.keys())}
    if rows.kind == "conversations" and set(read) != {TRANSCRIPT}:
        raise ConfigError(
            f"{place}: of conversations a prompt reads the field {TRANSCRIPT}, and {prompt.name} reads "
            f"{listed(sorted(read)) or 'none'}. Name it so, and set what is equal for all under [prompt.values]."
        )
    if not read:
        raise ConfigError(f"{place}: {prompt.name} reads no column, so all rows would be asked the same. Give it a field.")
    return read


def _out(path: Any, given: Path | None, where: str, folder: Path) -> Path:
    if not isinstance(path, str):
        raise ConfigError(f"{where}: out is {path!r}, expected the name of a Parquet file.")
    if given is None and not path:
        raise ConfigError(f'{where}: out is missing. Say where the columns go, out = "NAME.parquet" on the first line, or --out.')
    out = given or folder / path
    if out.is_dir():
        raise ConfigError(f"{out} is a folder, expected the name of a Parquet file, such as {out / 'columns.parquet'}.")
    if out.suffix != ".parquet":
        raise ConfigError(f"{out}: what is written is Parquet. Let its name end in .parquet.")
    return out
