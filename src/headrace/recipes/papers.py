"""docs/papers.md from results/*.json: claim, figures, verdict. Never written by hand, so it can't say more than was run."""

from collections.abc import Mapping
from pathlib import Path

from headrace.recipes import RECIPES
from headrace.recipes.protocol import recipe
from headrace.recipes.reporting import Report, lead, read_report, signed

HEAD = """# What was reproduced

Written by `make docs` from `results/`; each line is a run. *met*: the interval of the difference lies above the margin;
*not met*: it does not reach it; *null*: neither can be said. A claim that is not met stays here as it is.

| recipe | claim | difference (95%) | margin | n | seeds | verdict | data | run |
|---|---|---|---|---|---|---|---|---|
"""


def papers(results: Path) -> str:
    """The whole page. A recipe that was not run says so."""
    reports = {path.stem: read_report(path) for path in sorted(results.glob("*.json"))}
    lines = [_line(name, reports.get(name)) for name in sorted(RECIPES)]
    return HEAD + "\n".join(lines) + "\n" + "".join(_details(reports[name]) for name in sorted(reports))


def _line(name: str, report: Report | None) -> str:
    if report is None:
        claim = recipe(name).CLAIM
        return f"| `{name}` | {claim.says} | | {claim.margin:g} | | | not run | | `headrace reproduce {name}` |"
    claim, one = report.claim, report.difference
    n = next(arm.n for arm in report.arms if arm.protocol == claim.protocol and arm.arm == claim.better)
    difference = f"{one.value:+.3f} [{one.lo:+.3f}, {one.hi:+.3f}] {claim.metric}, {claim.protocol}"
    return (
        f"| [`{name}`](#{name}) | {claim.says} | {difference} | {claim.margin:g} | {n} | {report.seeds} | **{report.verdict}** | "
        f"{report.data} `{report.data_hash}` | `{report.command}`, {report.date} |"
    )


def _details(report: Report) -> str:
    reading = f"Our reading: [papers/{report.name}.md](papers/{report.name}.md)."
    text = f"\n## {report.name}\n\nPublished: {report.claim.published}. {reading}\n"
    for protocol, says in report.protocols.items():
        rows: dict[str, Mapping[str, str]] = {}
        for arm in (arm for arm in report.arms if arm.protocol == protocol):
            rows[arm.arm] = {**rows.get(arm.arm, {}), arm.metric: f"{arm.value:.3f} [{arm.lo:.3f}, {arm.hi:.3f}]"}
        metrics = list(dict.fromkeys(arm.metric for arm in report.arms if arm.protocol == protocol))
        text += f"\n{says}.\n\n| arm | {' | '.join(metrics)} |\n|---|{'---|' * len(metrics)}\n"
        for name, found in sorted(rows.items(), key=lambda pair: pair[1].get(metrics[0], ""), reverse=True):
            text += f"| {name} | {' | '.join(found.get(metric, '') for metric in metrics)} |\n"
    for protocol, other in report.further.items():
        text += f"\n{lead(report.claim)}, {protocol}: {signed(other)}.\n"
    for one in report.claims:
        figures = f"{lead(one.claim)}, {one.claim.protocol}: {signed(one.difference)}, margin {one.claim.margin:g}"
        text += f"\n{one.claim.says} {figures}: **{one.verdict}**.\n"
    return text
