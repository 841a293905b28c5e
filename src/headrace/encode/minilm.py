"""all-MiniLM-L6-v2: 384 numbers a text, 22 million parameters, English; the frozen encoder a CPU can afford.

    encoder = minilm()
    encoder.encode(["a teapot of cast iron"], "item")      # float32 [1, 384]

On first use its weights are fetched and exported to ONNX once (see `weights` and `export`), and brought to 8 bits once where
`precision = "int8"` is asked (see `eight_bits`); after that no torch is loaded.
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
INT8_REVISION = 1
"""Of the file made of it: raised when `eight_bits` changes its output."""


def minilm(config: SentencesConfig | None = None, home: Path | None = None) -> SentenceEncoder:
    """home: the cache (the data sets' if None). DataError where its weights can't be had, MissingExtra without [text]."""
    for library in ("onnxruntime", "tokenizers"):  # before 91 MB are fetched
        optional(library, package=library, extra="text", purpose="Encoding text")
    made = quantised if config is not None and config.precision == "int8" else exported
    folder = made(home or default_home()).path
    name = f"{NAME}/{digest([SHA256, REVISION])[:16]}"
    return SentenceEncoder(folder / "model.onnx", folder / "tokenizer.json", name, config)


def exported(home: Path) -> Artifact:
    """model.onnx and tokenizer.json, made on first use."""
    store, settings = Store(home), {"heads": HEADS, "weights": SHA256}
    key = key_of("encoder", settings, {}, REVISION)
    found = store.find("encoder", key)
    return found or _made(store, Manifest("encoder", key, REVISION, settings, {}))


def quantised(home: Path) -> Artifact:
    """model.onnx and tokenizer.json as well, its words and maps in 8 bits."""
    store, settings = Store(home), {"heads": HEADS, "weights": SHA256}
    key = key_of("encoder-int8", settings, {}, INT8_REVISION)
    found = store.find("encoder-int8", key)
    return found or _made(store, Manifest("encoder-int8", key, INT8_REVISION, settings, {}))


def _made(store: Store, manifest: Manifest) -> Artifact:
    from safetensors.torch import load_file

    from headrace.encode.bert import SentenceBert
    from headrace.encode.eight_bits import quantise
    from headrace.encode.export import export

    written = export if manifest.kind == "encoder" else quantise
    source = weights(store.root).path
    with store.create(manifest) as draft:
        written(SentenceBert.of(load_file(source / "model.safetensors"), HEADS), draft.path / "model.onnx")
        for name in ("tokenizer.json", "LICENCE.txt"):
            (draft.path / name).write_bytes((source / name).read_bytes())
    return open_artifact(store.root / manifest.kind / manifest.key)
