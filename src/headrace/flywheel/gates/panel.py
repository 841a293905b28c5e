"""All gates of one release, and what they say together.

Promote when every required gate passed and no gate at all blocked. A gate that is not required may lack its evidence; a required
one without evidence holds the release, however good the others look.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from headrace.contracts.config import as_dict, config, parse
from headrace.contracts.errors import ConfigError, listed, nearest
from headrace.contracts.seams import Decision, Gate
from headrace.flywheel.gates import GATES
from headrace.flywheel.gates.judge_bar import Guarded, JudgeBar

_JUDGED = ("win_rate", "agreement")


@config
class GatesConfig:
    """[gates] of the TOML; each [gates.NAME] beside it names a gate and its settings. A required gate needs no section."""

    required: tuple[str, ...] = ("offline",)


@dataclass(frozen=True)
class Verdict:
    """decisions: gate -> what it said. required: those that had to pass."""

    candidate: str
    baseline: str
    decisions: Mapping[str, Decision]
    required: Sequence[str]

    @property
    def blocked_by(self) -> list[str]:
        return [name for name, one in self.decisions.items() if one.status == "blocked"]

    @property
    def held_by(self) -> list[str]:
        """Required gates without evidence."""
        return [name for name in self.required if self.decisions[name].status == "no_evidence"]

    @property
    def promotes(self) -> bool:
        return not self.blocked_by and not self.held_by

    @property
    def says(self) -> str:
        if self.blocked_by:
            return f"blocked by {', '.join(self.blocked_by)}"
        return f"held: no evidence from {', '.join(self.held_by)}" if self.held_by else "promoted"

    def as_dict(self) -> dict[str, Any]:
        """For JSON, which has no NaN."""
        decisions = {
            name: {**vars(one), "observed": None if one.observed != one.observed else one.observed}
            for name, one in self.decisions.items()
        }
        return {"candidate": self.candidate, "baseline": self.baseline, "required": list(self.required), "decisions": decisions,
                "promotes": self.promotes, "says": self.says}  # fmt: skip


@dataclass(frozen=True)
class Panel:
    """gates: by name, in the order they are asked."""

    gates: Mapping[str, Gate]
    required: tuple[str, ...]

    @classmethod
    def of(cls, section: Mapping[str, Any], where: str) -> "Panel":
        """[gates] of a TOML, checked: a misspelt gate or key names the nearest right one."""
        parts = {name: value for name, value in section.items() if isinstance(value, Mapping)}
        own = {name: value for name, value in section.items() if name not in parts}
        settings = parse(GatesConfig, own, where=f"{where} [gates]")
        for name in (*parts, *settings.required):
            if name not in GATES:
                raise ConfigError(
                    f'{where}: [gates] "{name}" is not a gate.{nearest(name, GATES)} Gates: {listed(sorted(GATES))}.'
                )
        wanted = [name for name in GATES if name in parts or name in settings.required]
        made = {name: parse(_gate(name), parts.get(name, {}), where=f"{where} [gates.{name}]") for name in wanted}
        if isinstance(bar := made.get(JudgeBar.name), JudgeBar):  # what judges say counts only once people bore them out
            made |= {name: Guarded(made[name], bar) for name in _JUDGED if name in made}
        return cls(made, settings.required)

    def decide(self, candidate: str, baseline: str, evidence: Mapping[str, Any]) -> Verdict:
        decisions = {name: gate.decide(candidate, baseline, evidence) for name, gate in self.gates.items()}
        return Verdict(candidate, baseline, decisions, self.required)

    def as_dict(self) -> dict[str, Any]:
        """What was asked, for a release's record."""
        return {"required": list(self.required), **{name: as_dict(gate) for name, gate in self.gates.items()}}


def _gate(name: str) -> Any:
    module, _, attribute = GATES[name].partition(":")
    return getattr(import_module(module), attribute)
