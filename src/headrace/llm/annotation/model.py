"""The backend that a plan names, opened; and what may be said of its figures."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from headrace.llm.annotation.plan import Plan
from headrace.llm.backend import Backend


@contextmanager
def opened(plan: Plan, *, workers: int = 1) -> Iterator[Backend]:
    """workers: that ask side by side; each has its part of a server's rates and of the requests under way."""
    match plan.source.backend:
        case "server":
            from headrace.llm.openai_server import OpenAIServer

            of = plan.settings
            server = OpenAIServer(
                replace(
                    of,
                    concurrency=max(1, of.concurrency // workers),
                    requests_per_minute=of.requests_per_minute and of.requests_per_minute / workers,
                    tokens_per_minute=of.tokens_per_minute and of.tokens_per_minute / workers,
                )
            )
            try:
                yield server
            finally:
                server.close()
        case "llamacpp":
            from headrace.llm.llamacpp import LlamaCpp

            with LlamaCpp(_file(plan), plan.settings) as model:
                yield model
        case _:
            from headrace.llm.local import local

            yield local(_file(plan), plan.settings)


def _file(plan: Plan) -> str:
    """A path beside the TOML, or else a name on the hub as it stands."""
    if not plan.source.path:
        from headrace.llm.smollm import smollm

        return str(smollm())
    beside = plan.folder / plan.source.path
    return str(beside) if beside.exists() else plan.source.path


def is_paid(plan: Plan) -> bool:
    """A server's answers may cost money, so each is waited for on the disk."""
    return plan.source.backend == "server"


def counts_tokens(plan: Plan) -> bool:
    """Whether the tokenizer is at hand; else tokens of a prompt are estimated from its bytes."""
    return plan.source.backend != "server"
