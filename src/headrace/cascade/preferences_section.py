"""[preferences] of the TOML: who writes what users were taken to want, for the retrievers that learn to follow it (mender)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Ge

from headrace.contracts.config import config, parse
from headrace.contracts.errors import ConfigError
from headrace.llm.budget import Limits, Prices
from headrace.llm.chosen import Chosen, chosen
from headrace.llm.preferences import WrittenConfig


@config
class PreferencesConfig:
    """states: moments that a model is asked about, a seeded draw of all; 0: every one, about one an event."""

    states: Annotated[int, Ge(0)] = 2000


@dataclass(frozen=True)
class Written:
    """By whom. model: None for templates, which need none."""

    own: PreferencesConfig = field(default_factory=PreferencesConfig)
    model: Chosen | None = None
    wording: WrittenConfig = field(default_factory=WrittenConfig)
    limits: Limits = field(default_factory=Limits)
    prices: Prices | None = None


def preferences_section(section: Mapping[str, Any], where: str, folder: Path) -> Written:
    """Sections of it: model, written, limits, prices. Without a model all others say nothing, and are refused."""
    place = f"{where} [preferences]"
    parts = {name: one for name, one in section.items() if name in ("model", "written", "limits", "prices")}
    own = parse(PreferencesConfig, {name: one for name, one in section.items() if name not in parts}, where=place)
    if "model" not in parts:
        if section:
            raise ConfigError(
                f"{place}: there is no [preferences.model], so templates write them and nothing else is asked. Name a model, or "
                "leave the section out."
            )
        return Written()
    limits = parse(Limits, parts.get("limits", {}), where=f"{place[:-1]}.limits]")
    prices = parse(Prices, parts["prices"], where=f"{place[:-1]}.prices]") if "prices" in parts else None
    if limits.max_cost is not None and prices is None:
        raise ConfigError(f"{place[:-1]}.limits]: max_cost is set, but no prices. Add [preferences.prices].")
    wording = parse(WrittenConfig, parts.get("written", {}), where=f"{place[:-1]}.written]")
    return Written(own, chosen(parts["model"], place, folder), wording, limits, prices)
