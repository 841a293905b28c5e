"""all-MiniLM-L6-v2: 384 numbers a text, 22 million parameters, English; the frozen encoder a CPU can afford.

    encoder = minilm()
    encoder.encode(["a teapot of cast iron"], "item")      # float32 [1, 384]

On first use its weights are fetched and exported to ONNX once (see `weights` and `export`); after that no torch is loaded.
Use it wherever items have English titles or descriptions. It loses to `tfidf` where no word has a meaning outside the catalogue
(part numbers), and it does not read other languages.
Papers: Wang et al., NeurIPS 2020 (MiniLM); trained as in Reimers and Gurevych, EMNLP 2019.
"""

from pathlib import Path

from headrace.artifacts.store import Artifact, Store, key_of, open_artifact
from headrace.contracts.config import digest
from headrace.contracts.manifest import Manifest
from headrace.data.datasets.placing import default_home
from headrace.encode.optional import optional
from headrace.encode.sentences import SentenceEncoder, SentencesConfig
from headrace.encode.weights import NAME, SHA256, weights

HEADS = 12
REVISION = 1
"""Of the exported file: raised when `bert` or `export` changes its output."""


def minilm(config: SentencesConfig | None = None, home: Path | None = None) -> SentenceEncoder:
    """home: the cache (the data sets' if None). DataError where its weights can't be had, MissingExtra without [text]."""
    for library in ("onnxruntime", "tokenizers"):  # before 91 MB are fetched
        optional(library, package=library, extra="text", purpose="Encoding text")
    folder = exported(home or default_home()).path
    name = f"{NAME}/{digest([SHA256, REVISION])[:16]}"
    return SentenceEncoder(folder / "model.onnx", folder / "tokenizer.json", name, config)


def exported(home: Path) -> Artifact:
    """model.onnx and tokenizer.json, made on first use."""
    store, settings = Store(home), {"heads": HEADS, "weights": SHA256}
    key = key_of("encoder", settings, {}, REVISION)
    found = store.find("encoder", key)
    return found or _made(store, Manifest("encoder", key, REVISION, settings, {}))


def _made(store: Store, manifest: Manifest) -> Artifact:
    from safetensors.torch import load_file

    from headrace.encode.bert import SentenceBert
    from headrace.encode.export import export

    source = weights(store.root).path
    with store.create(manifest) as draft:
        export(SentenceBert.of(load_file(source / "model.safetensors"), HEADS), draft.path / "model.onnx")
        for name in ("tokenizer.json", "LICENCE.txt"):
            (draft.path / name).write_bytes((source / name).read_bytes())
    return open_artifact(store.root / manifest.kind / manifest.key)
