"""Causal language models of Hugging Face: read from a GGUF file, a model folder or the hub. The one file that knows transformers.

    loaded = causal("model.gguf")        # .model (eval mode), .tokenizer, .name, .digest

A GGUF file's weights are taken apart once, to 32 bits, and kept in the cache as a folder (four bytes a parameter): 20 CPU seconds
for 135 million parameters the first time, 2 afterwards. Only .safetensors are read, so that nothing in a folder is run.
"""

import contextlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any

from headrace.artifacts.store import Store, key_of, open_artifact
from headrace.contracts.errors import DataError
from headrace.contracts.manifest import Manifest
from headrace.data.datasets.placing import default_home
from headrace.encode.optional import optional
from headrace.llm.gguf_file import Gguf, open_gguf

READ = ("*.safetensors", "*.json", "*.jinja", "*.model", "*.txt")
HUB_TIMEOUT_S = 5.0


@dataclass(frozen=True)
class Causal:
    """digest: of all bytes that were read."""

    model: Any
    tokenizer: Any
    name: str
    digest: str


def causal(source: str | Path, *, dtype: str = "float32", device: str = "cpu", home: Path | None = None) -> Causal:
    """source: a GGUF file, a folder with config.json, or "owner/name" on the hub. DataError where it is none of these.

    home: the cache of what GGUF files were taken apart to (the data sets' if None).
    """
    transformers()
    path = Path(source)
    if (path / "config.json").is_file():
        return _folder(path, path.name, _digest(path), dtype, device)
    if path.exists() or path.suffix == ".gguf":
        file = open_gguf(path)
        if not (file.layers and file.width):  # else a library takes its own, of seven billion parameters
            raise DataError(f"{file.path}: its head doesn't say how many layers it has and how wide they are. Fetch it again.")
        name = f"{file.name}/{file.quantisation}"
        return _folder(_apart(file, Store(home or default_home())), name, file.digest, dtype, device)
    folder = _from_hub(str(source))
    return _folder(folder, str(source), _digest(folder), dtype, device)


def write(model: Any, tokenizer: Any, folder: Path) -> None:
    """As `causal` and transformers read it: config.json, .safetensors, the tokenizer and its template."""
    with _quiet():
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)


def transformers() -> Any:
    return optional("transformers", package="transformers", extra="llm", purpose="Reading a language model")


def new_cache() -> Any:
    """Keys and values of what was read, grown by concatenation."""
    return transformers().DynamicCache()


def _folder(folder: Path, name: str, digest: str, dtype: str, device: str) -> Causal:
    import torch
    from safetensors import SafetensorError

    library = transformers()
    with _quiet():
        try:
            tokenizer = library.AutoTokenizer.from_pretrained(folder)
            model = library.AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, dtype), use_safetensors=True)
        except (OSError, ValueError, KeyError, SafetensorError) as error:
            raise DataError(f"{folder}: expected a causal language model and its tokenizer: {error}") from None
    if tokenizer.chat_template is None:
        raise DataError(f"{folder}: its tokenizer has no chat template. Name a model that was tuned to follow instructions.")
    return Causal(model.to(device).eval(), tokenizer, name, digest)


def _apart(file: Gguf, store: Store) -> Path:
    """The folder with the weights as float32; made on first use."""
    settings = {"gguf": file.digest, "transformers": transformers().__version__}
    key = key_of("weights", settings, {}, 1)
    found = store.find("weights", key)
    if found is not None:
        return found.path
    library, where = transformers(), {"gguf_file": file.path.name}
    with store.create(Manifest("weights", key, 1, settings, {})) as draft, _quiet():
        try:
            model = library.AutoModelForCausalLM.from_pretrained(file.path.parent, dtype="float32", **where)
            tokenizer = library.AutoTokenizer.from_pretrained(file.path.parent, **where)
        except (OSError, ValueError, KeyError) as error:
            raise DataError(f"{file.path}: transformers can't read this GGUF file: {error}. llama.cpp may.") from None
        model.hf_quantizer = None  # what is stored is plain numbers
        del model.config.quantization_config
        write(model, tokenizer, draft.path)
    return open_artifact(store.root / "weights" / key).path


def _from_hub(name: str) -> Path:
    hub = optional("huggingface_hub", package="huggingface_hub", extra="llm", purpose="Fetching a language model")
    try:
        with _quiet():
            return Path(hub.snapshot_download(name, allow_patterns=list(READ), etag_timeout=HUB_TIMEOUT_S))
    except (hub.errors.HFValidationError, hub.errors.HfHubHTTPError, hub.errors.LocalEntryNotFoundError, OSError) as error:
        raise DataError(
            f'"{name}" is no file or folder here, and it could not be had from the Hugging Face hub '
            f"({type(error).__name__}). Name a GGUF file, or a folder with config.json and .safetensors."
        ) from None


def _digest(folder: Path) -> str:
    """sha256 over the names and bytes of all that may be read."""
    whole = sha256()
    for path in sorted({path for pattern in READ for path in folder.glob(pattern)}):
        with path.open("rb") as stream:
            whole.update(f"{path.name}:{file_digest(stream, 'sha256').hexdigest()}\n".encode())
    return whole.hexdigest()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """No progress bars: they are drawn whether or not anyone looks."""
    with contextlib.redirect_stderr(io.StringIO()):
        yield
