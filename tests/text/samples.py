"""A few texts, and small tokenizers of each kind that have learned from them."""

from functools import cache

from headrace.text.tokenizer import Tokenizer, TokenizerConfig, train_tokenizer

FILMS = ("a thief", "the old king", "two sisters", "ein alter Mann", "die Königin", "une reine", "the queen's cat")
PLACES = ("in Paris", "at the sea.", "on a train,", "in der Stadt", "im Winter", "à la mer", "in 1994")
ACTS = ("looks for love", "steals a diamond!", "sucht Freunde", "cherche l'amour", "remembers the war", "日本語 を 話す 😀")
TEXTS = [f"{film} {place} {act} and {films}" for film in FILMS for place in PLACES for act in ACTS for films in FILMS[:3]]
KINDS = ("bytes", "bpe", "unigram")
SIZE = 350


def settings(kind: str, **more: object) -> TokenizerConfig:
    reserved = {
        "sentinels": 3,
        "languages": ("en", "de", "pt-BR"),
        "codes": (("item", 2, 4), ("film", 1, 3)),
        "special": ("<image>",),
    }
    return TokenizerConfig(kind=kind, size=0 if kind == "bytes" else SIZE, **{**reserved, **more})  # type: ignore[arg-type]


@cache
def small(kind: str) -> Tokenizer:
    return train_tokenizer(TEXTS, settings(kind))
