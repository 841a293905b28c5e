"""[summaries] of the TOML: who writes users' interest summaries, for the rankers that read them (spar, embsum).

The sections of a source that is not asked for are checked all the same, and change nothing: a plan goes from one source to the
other, or to none as a control, by one word.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge

from headrace.contracts.config import config, parse
from headrace.contracts.errors import ConfigError
from headrace.data.summaries import ExtractiveConfig
from headrace.llm.budget import Limits, Prices
from headrace.llm.chosen import Chosen, chosen
from headrace.llm.profiles import ProfilesConfig

_PARTS = ("extractive", "model", "written", "limits", "prices")


@config
class SummariesConfig:
    """users: whom a model is asked about, a seeded draw of those with a past; 0: everyone."""

    source: Literal["extractive", "model", "none"] = "extractive"
    users: Annotated[int, Ge(0)] = 2000


@dataclass(frozen=True)
class Summarised:
    """By whom. model: None where none is named, which a source of "model" needs."""

    own: SummariesConfig = field(default_factory=SummariesConfig)
    extractive: ExtractiveConfig = field(default_factory=ExtractiveConfig)
    model: Chosen | None = None
    wording: ProfilesConfig = field(default_factory=ProfilesConfig)
    limits: Limits = field(default_factory=Limits)
    prices: Prices | None = None


def summaries_section(section: Mapping[str, Any], where: str, folder: Path) -> Summarised:
    """Sections of it: extractive, model, written, limits, prices. folder: what a model's path counts from."""
    place = f"{where} [summaries]"
    parts = {name: one for name, one in section.items() if name in _PARTS}
    own = parse(SummariesConfig, {name: one for name, one in section.items() if name not in parts}, where=place)
    if own.source == "model" and "model" not in parts:
        raise ConfigError(
            f'{place}: source = "model", and no model is named. Add [summaries.model] with backend = "local", "llamacpp" or '
            '"server"; or take source = "extractive", which needs none.'
        )
    extractive = parse(ExtractiveConfig, parts.get("extractive", {}), where=f"{place[:-1]}.extractive]")
    limits = parse(Limits, parts.get("limits", {}), where=f"{place[:-1]}.limits]")
    prices = parse(Prices, parts["prices"], where=f"{place[:-1]}.prices]") if "prices" in parts else None
    if limits.max_cost is not None and prices is None:
        raise ConfigError(f"{place[:-1]}.limits]: max_cost is set, but no prices. Add [summaries.prices].")
    wording = parse(ProfilesConfig, parts.get("written", {}), where=f"{place[:-1]}.written]")
    model = chosen(parts["model"], place, folder) if "model" in parts else None
    return Summarised(own, extractive, model, wording, limits, prices)
