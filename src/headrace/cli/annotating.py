"""headrace annotate: a table of rows in, typed columns out, by a language model."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headrace.contracts.progress import Progress

if TYPE_CHECKING:
    from headrace.llm.annotation.plan import Plan
    from headrace.llm.annotation.pricing import Price

annotating_app = typer.Typer()
_LINE_S = 10.0


@annotating_app.command()
def annotate(
    plan: Annotated[Path, typer.Argument(help="Your TOML: which rows, which prompt, which columns, which model.")],
    out: Annotated[Path | None, typer.Option("--out", help="The Parquet file to write; the TOML's out by default.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Ask nothing: say what it would take and cost, and show one prompt in full.")
    ] = False,
    ray: Annotated[
        bool, typer.Option("--ray", help="Spread chunks of rows over Ray workers, as \\[ray] says. Needs headrace\\[ray].")
    ] = False,
) -> None:
    """Ask a language model about every row of a table (items, users, conversations) and write its answers as typed columns.

    A topics.toml that works, with a small model on this machine:

        out = "topics.parquet"
        \\[rows]
        path = "reviews.csv"
        key = "review_id"
        \\[prompt]
        name = "annotate.text"
        fields = { text = "review" }
        values = { task = "Say what the review is about." }
        \\[columns.topic]
        type = "choice"
        choices = \\["delivery", "quality", "price", "other"]
        \\[model]
        backend = "llamacpp"

    Example:  headrace annotate topics.toml --dry-run, then without it. Stopped anywhere, the same command goes on.

    With \\[anchors] run = "runs/shop" in the TOML it is users' interests that are written, as codes, by a small model.

    What every key means: docs/annotate.md.
    """
    from headrace.cascade.plan import read_toml
    from headrace.llm.annotation.plan import plan_from

    values = read_toml(plan)
    if "anchors" in values:
        from headrace.cli.anchoring import annotate_anchors

        with _telling() as progress:
            annotate_anchors(values, plan, out, progress, dry_run=dry_run, ray=ray)
        return
    read = plan_from(values, where=plan.name, folder=plan.parent, out=out)
    with _telling() as progress:
        if dry_run:
            from headrace.llm.annotation.pricing import priced
            from headrace.llm.annotation.running import opened

            with opened(read) as job:
                _say(job.told)
                price = priced(job, progress)
        else:
            summary = _annotated(read, progress, ray=ray)
    if dry_run:
        _show_price(price, read)
    else:
        _show_summary(summary, read)


def _annotated(plan: "Plan", progress: Progress, *, ray: bool) -> dict[str, Any]:
    from headrace.llm.annotation.running import annotate as annotated

    if not ray:
        return annotated(plan, progress=progress, tell=_say)
    from headrace.llm.annotation.rays import Workers, cluster

    with cluster(plan):
        return annotated(plan, progress=progress, tell=_say, pool=Workers)


def _show_summary(summary: dict[str, Any], plan: "Plan") -> None:
    from headrace.llm.annotation.running import summary_of

    spent = summary["spent"]
    typer.echo(
        f"{plan.out}: {summary['rows']:,} rows, {summary['parsed']:,} parsed, {summary['unparsed']:,} unparsed "
        f"({summary['unparsed_rate']:.1%}), {summary['failed']:,} failed. In all {spent['calls']:,} calls, "
        f"{spent['prompt_tokens'] + spent['completion_tokens']:,} tokens, cost {spent['cost']:.6g}. More: {summary_of(plan.out)}"
    )
    if summary["failed"]:
        typer.echo("What failed had no answer; its reason says why. The same command asks those rows again, and no other.")


def _show_price(price: "Price", plan: "Plan") -> None:
    typer.echo("The first row's prompt, as it is sent:\n")
    for message in price.shown:
        typer.echo(f"[{message.role}]\n{message.content}\n")
    counted = "by the model's tokenizer" if price.exact else "estimated from bytes: the server's tokenizer is not here"
    typer.echo(f"{price.rows:,} rows: {price.done:,} written, {price.kept:,} answered already or equal, {price.to_ask:,} to ask.")
    typer.echo(f"Prompt tokens {counted}. Answers: estimated from the columns; at most max_tokens.")
    free = "" if plan.prices else " (no [prices]: 0)"
    for name, prompt, answers, cost in (
        ("likely", price.likely_prompt, price.likely_completion, f"{price.likely_cost:.6g}{free}"),
        ("most", price.most_prompt, price.most_completion, f"{price.most_cost:.6g}{free}: each row asked twice"),
    ):
        typer.echo(f"  {name:<7}{prompt:>14,} + {answers:>12,} tokens  cost {cost}")


def _say(text: str) -> None:
    if text:
        sys.stderr.write(f"{text}\n")


@contextmanager
def _telling() -> Iterator[Progress]:
    """A bar on a terminal; in a log a line every ten seconds, and one at the end."""
    from rich.console import Console

    from headrace.cli.drawing import bars

    console = Console(stderr=True)
    told = -_LINE_S

    def line(what: str, done: int, total: int, note: str = "") -> None:
        nonlocal told
        if done == total or time.monotonic() - told >= _LINE_S:
            told = time.monotonic()
            sys.stderr.write(f"{what}: {done:,} of {total:,}{', ' if note else ''}{note}\n")

    with bars(console) if console.is_terminal else nullcontext(line) as progress:
        yield progress
