"""A sentence encoder small enough to make in a test, in the names and formats of the published ones."""

import json
from pathlib import Path

import torch
from torch import Tensor

WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "tea", "##pot", "cup", "iron", "of", "kettle", "100", "g", ",", "green")
HEADS, DIM, WIDE, LAYERS, POSITIONS = 2, 16, 24, 2, 12


def tensors(seed: int = 0) -> dict[str, Tensor]:
    draw = torch.Generator().manual_seed(seed)

    def linear(name: str, rows: int, columns: int) -> dict[str, Tensor]:
        weight = torch.randn(rows, columns, generator=draw) / columns**0.5
        return {f"{name}.weight": weight, f"{name}.bias": torch.randn(rows, generator=draw) / 4}

    def norm(name: str) -> dict[str, Tensor]:
        return {f"{name}.weight": 1 + torch.randn(DIM, generator=draw) / 4, f"{name}.bias": torch.randn(DIM, generator=draw) / 4}

    made = norm("embeddings.LayerNorm") | linear("pooler.dense", DIM, DIM)
    for kind, rows in (("word", len(WORDS)), ("position", POSITIONS), ("token_type", 2)):
        made[f"embeddings.{kind}_embeddings.weight"] = torch.randn(rows, DIM, generator=draw)
    for layer in range(LAYERS):
        at = f"encoder.layer.{layer}"
        for part in ("query", "key", "value"):
            made |= linear(f"{at}.attention.self.{part}", DIM, DIM)
        made |= linear(f"{at}.attention.output.dense", DIM, DIM) | norm(f"{at}.attention.output.LayerNorm")
        made |= linear(f"{at}.intermediate.dense", WIDE, DIM) | linear(f"{at}.output.dense", DIM, WIDE)
        made |= norm(f"{at}.output.LayerNorm")
    return made


def write_tokenizer(path: Path) -> None:
    """With truncation and padding of its own, as the published file has."""
    special = [
        {"id": WORDS.index(word), "content": word, "single_word": False, "lstrip": False, "rstrip": False,
         "normalized": False, "special": True}
        for word in ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
    ]  # fmt: skip
    ends = {"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]}
    text = {
        "version": "1.0",
        "truncation": {"max_length": 4, "strategy": "LongestFirst", "stride": 0, "direction": "Right"},
        "padding": {"strategy": {"Fixed": 4}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 0, "pad_type_id": 0,
                    "pad_token": "[PAD]"},
        "added_tokens": special,
        "normalizer": {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None,
                       "lowercase": True},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": ends,
        "decoder": None,
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100,
                  "vocab": {word: number for number, word in enumerate(WORDS)}},
    }  # fmt: skip
    path.write_text(json.dumps(text))
