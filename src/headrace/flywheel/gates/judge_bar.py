"""May this judge be believed? A judge whose labels people did not bear out decides nothing, neither for a release nor against it.

    passed        every judge asked: lower end of kappa >= bar and of DSAT precision >= bar, few unparsed answers
    no_evidence   any other: a judge below the bar says nothing about the candidate, so it can't block it either

Evidence "judges": judge id -> `Agreement` with people on conversations that it was not fitted on. `Guarded` puts the bar before
another gate that reads what judges said.
Kappa 0.5 and precision 0.8 are the values the project sets; no paper gives them. The 2% of unparsed answers likewise.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from annotated_types import Ge, Gt, Le, Lt

from headrace.contracts.config import config
from headrace.contracts.seams import Decision, Gate
from headrace.evaluate.agreement import Agreement
from headrace.flywheel.gates.verdicts import missing, of_kind, worst


@config
class JudgeBar:
    """kappa, dsat_precision: what the lower end of each interval must reach. most_unparsed: share of answers without use."""

    name: ClassVar[str] = "judge_bar"
    kappa: Annotated[float, Gt(0), Lt(1)] = 0.5
    dsat_precision: Annotated[float, Gt(0), Lt(1)] = 0.8
    most_unparsed: Annotated[float, Ge(0), Le(1)] = 0.02
    least: Annotated[int, Gt(1)] = 100

    def decide(self, candidate: str, baseline: str, evidence: Mapping[str, Any]) -> Decision:
        judges: Mapping[str, Agreement] = evidence.get("judges") or {}
        # of a win rate named "JUDGE/TRAFFIC"; one whose judge nobody calibrated is as bad as one that failed
        asked = {*judges, *(name.rpartition("/")[0] for name in evidence.get("win_rates") or ())}
        if not asked:
            return missing(self.kappa, "no judge was compared with people")
        return worst([self.one(name, of_kind(judges.get(name), Agreement, f"judges.{name}")) for name in sorted(asked)])

    def one(self, judge: str, found: Agreement | None) -> Decision:
        """May this one be believed?"""
        if found is None:
            return missing(self.kappa, f"judge {judge} was never compared with people")
        if found.n < self.least:
            return missing(self.kappa, f"judge {judge}: {found.n} conversations labelled by people, fewer than {self.least}")
        if found.unparsed > self.most_unparsed:
            return missing(self.kappa, f"judge {judge}: {found.unparsed:.1%} of answers unparsed, limit {self.most_unparsed:.1%}")
        for name, bar in (("kappa", self.kappa), ("dsat_precision", self.dsat_precision)):
            one = found.figures[name]
            if not one.lo >= bar:  # NaN too
                says = f"judge {judge}: {found.says(name)} over {found.n} conversations reaches below {bar:g}"
                return Decision("no_evidence", one.value, bar, f"{says}; it may not gate anything")
        kappa = found.figures["kappa"].value
        says = f"{found.says('kappa')}, {found.says('dsat_precision')} over {found.n} conversations"
        return Decision("passed", kappa, self.kappa, f"judge {judge}: {says}")


@dataclass(frozen=True)
class Guarded:
    """A gate that reads judges, behind the bar: until they passed it, there is no evidence, whatever they said."""

    gate: Gate
    bar: JudgeBar

    @property
    def name(self) -> str:
        return self.gate.name

    def decide(self, candidate: str, baseline: str, evidence: Mapping[str, Any]) -> Decision:
        believed = self.bar.decide(candidate, baseline, evidence)
        return self.gate.decide(candidate, baseline, evidence) if believed.promotes else believed
