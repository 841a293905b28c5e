"""The backend that a TOML's [model] section names, checked when it is read and opened when it is needed.

    of = chosen({"backend": "server", "server": {...}}, where, folder)
    with opened(of) as backend: ...

Each backend has its own settings in a section of its name, [model.server] and so on.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from headrace.contracts.config import config, parse
from headrace.contracts.errors import ConfigError, listed, nearest
from headrace.llm.backend import Backend

BACKENDS = ("local", "llamacpp", "server")


@config
class ModelConfig:
    """path: a GGUF file, a model folder or "owner/name" on the hub, for local and llamacpp; SmolLM2-135M-Instruct if empty."""

    backend: Literal["local", "llamacpp", "server"]
    path: str = ""


@dataclass(frozen=True)
class Chosen:
    """settings: of the backend, its own config; None for its defaults. folder: what paths count from."""

    source: ModelConfig
    settings: Any
    folder: Path

    @property
    def is_paid(self) -> bool:
        """A server's answers may cost money, so each is waited for on the disk."""
        return self.source.backend == "server"

    @property
    def counts_tokens(self) -> bool:
        """Whether the tokenizer is at hand; else tokens of a prompt are estimated from its bytes."""
        return self.source.backend != "server"

    @property
    def file(self) -> str:
        """A path beside the TOML, or else a name on the hub as it stands."""
        if not self.source.path:
            from headrace.llm.smollm import smollm

            return str(smollm())
        beside = self.folder / self.source.path
        return str(beside) if beside.exists() else self.source.path


def chosen(values: Mapping[str, Any], where: str, folder: Path) -> Chosen:
    sections = {name: one for name, one in values.items() if isinstance(one, Mapping)}
    for name in sections:
        if name not in BACKENDS:
            raise ConfigError(f"{where} [model.{name}] is not a section.{nearest(name, BACKENDS)} Sections: {listed(BACKENDS)}.")
    own = {name: one for name, one in values.items() if name not in sections}
    source = parse(ModelConfig, own, where=f"{where} [model]")
    settings = {name: parse(_settings_of(name), one, where=f"{where} [model.{name}]") for name, one in sections.items()}
    if source.backend == "server" and "server" not in settings:
        raise ConfigError(f"{where} [model]: a server needs [model.server] with base_url and model.")
    return Chosen(source, settings.get(source.backend), folder)


@contextmanager
def opened(of: Chosen, *, workers: int = 1) -> Iterator[Backend]:
    """workers: that ask side by side; each has its part of a server's rates and of the requests under way."""
    match of.source.backend:
        case "server":
            from headrace.llm.openai_server import OpenAIServer

            settings = of.settings
            server = OpenAIServer(
                replace(
                    settings,
                    concurrency=max(1, settings.concurrency // workers),
                    requests_per_minute=settings.requests_per_minute and settings.requests_per_minute / workers,
                    tokens_per_minute=settings.tokens_per_minute and settings.tokens_per_minute / workers,
                )
            )
            try:
                yield server
            finally:
                server.close()
        case "llamacpp":
            from headrace.llm.llamacpp import LlamaCpp

            with LlamaCpp(of.file, of.settings) as model:
                yield model
        case _:
            from headrace.llm.local import local

            yield local(of.file, of.settings)


def _settings_of(backend: str) -> Any:
    """Imported one by one: torch is loaded for a local model alone."""
    match backend:
        case "local":
            from headrace.llm.local import LocalConfig

            return LocalConfig
        case "llamacpp":
            from headrace.llm.llamacpp import LlamaCppConfig

            return LlamaCppConfig
        case _:
            from headrace.llm.openai_server import ServerConfig

            return ServerConfig
