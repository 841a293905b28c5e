"""[anchors] of an annotation: which run's users, which writer, as of when.

    out = "anchors.parquet"
    [anchors]              run or plan, until, writer, n, words, writer_run
    [anchors.causal]       the writer's own settings

Paths count from the TOML's folder.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt

from headrace.contracts.config import config, parse
from headrace.contracts.errors import ConfigError, listed, nearest
from headrace.methods.prerank.anchors import ANCHOR_WRITERS

SECTIONS = ("out", "anchors")


@config
class AnchorsConfig:
    """run: a folder of headrace build, or of headrace ids build. plan: instead, a TOML that is worked through as far as it takes,
    in runs/NAME or in `run`.

    until: what the writer reads and learns from ends here: where a window of the plan's split begins, or the log ends.
    writer_run: another such folder, whose writer is used as it was fitted there, with its semantic ids.
    """

    run: str = ""
    plan: str = ""
    until: Literal["prerank", "rank", "test", "end"] = "end"
    writer: str = "causal"
    writer_run: str = ""
    n: Annotated[int, Gt(0)] = 10
    words: Annotated[int, Ge(0)] = 4
    """Of each anchor's first code; 0: none."""


@dataclass(frozen=True)
class AnchorsPlan:
    """where: the TOML, for messages; folder: what its paths count from. settings: the writer's."""

    where: str
    folder: Path
    out: Path
    asked: AnchorsConfig
    settings: Mapping[str, Any]

    @property
    def run(self) -> Path:
        asked = self.asked
        return self.folder / (asked.run or Path("runs") / Path(asked.plan).stem)


def anchors_plan(values: Mapping[str, Any], *, where: str, folder: Path, out: Path | None = None) -> AnchorsPlan:
    """out: of the command line, before the TOML's."""
    for name in values:
        if name not in SECTIONS:
            hint = nearest(name, SECTIONS)
            raise ConfigError(
                f"{where}: [{name}] is not a section beside [anchors].{hint} Sections: {listed(SECTIONS)}; a chat model's are "
                "for tables of rows."
            )
    section = values["anchors"]
    if not isinstance(section, Mapping):
        raise ConfigError(f"{where}: anchors is {section!r}, expected a section [anchors].")
    parts = {name: value for name, value in section.items() if isinstance(value, Mapping)}
    own = {name: value for name, value in section.items() if name not in parts}
    asked = parse(AnchorsConfig, own, where=f"{where} [anchors]")
    for name in parts:
        if name not in ANCHOR_WRITERS and name != asked.writer:
            raise ConfigError(
                f"{where}: [anchors.{name}] is not a writer.{nearest(name, ANCHOR_WRITERS)} Writers: "
                f"{listed(sorted(ANCHOR_WRITERS))}."
            )
    if not asked.run and not asked.plan:
        raise ConfigError(f'{where} [anchors]: say whose: run = "runs/shop", a folder of headrace build, or plan = "shop.toml".')
    place = out or folder / str(values.get("out", ""))
    if place.suffix != ".parquet" or place.is_dir():
        raise ConfigError(f'{where}: out is "{place.name}", expected the name of a Parquet file: out = "anchors.parquet".')
    return AnchorsPlan(where, folder, place, asked, parts.get(asked.writer, {}))
