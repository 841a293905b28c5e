"""How well a tokenizer serves each language: what a text costs in tokens, and how much of the vocabulary it is given.

    ALP(D, V) = mean over documents of  Σ_tokens log p(token),   p counted on D, or on other texts with + delta

A greater ALP (nearer to 0) means more of V for the language. It is a sum over a document, so compare languages over translations
of the same documents, or read tokens a byte. Paper: VoCap, EMNLP 2021. Cost: one encoding of the texts.
"""

from collections.abc import Mapping

import numpy as np
import polars as pl

from headrace.contracts.errors import DataError
from headrace.contracts.requests import Int64
from headrace.data.tokens import Tokens
from headrace.text.tokenizer import Tokenizer


def by_language(tokenizer: Tokenizer, texts: Mapping[str, list[str]]) -> pl.DataFrame:
    """A row a language: documents, bytes, tokens, tokens_per_byte, bytes_per_token, used (different ids), alp."""
    rows = []
    for language, said in texts.items():
        tokens = tokenizer.encode(said, eos=False)
        size = sum(len(text.encode()) for text in said)
        if not size:
            raise DataError(f'"{language}" has {len(said)} texts and no character in them. Leave it out.')
        rows.append(
            {
                "language": language,
                "documents": len(said),
                "bytes": size,
                "tokens": len(tokens.ids),
                "tokens_per_byte": len(tokens.ids) / size,
                "bytes_per_token": size / len(tokens.ids),
                "used": len(np.unique(tokens.ids)),
                "alp": alp(tokens, tokens, size=tokenizer.size),
            }
        )
    return pl.DataFrame(rows)


def alp(tokens: Tokens, counted: Tokens, *, size: int, delta: float = 0.0) -> float:
    """counted: where p is from. Other texts than `tokens` need a delta, which each of `size` ids has beside its count."""
    counts = np.bincount(counted.ids, minlength=size) + delta
    if not np.all(counts[tokens.ids]):
        raise DataError("ALP: a token that was never counted has no probability. Set delta, such as 0.1.")
    logs = np.log(counts[tokens.ids]) - np.log(counts.sum())
    return float(logs.sum() / len(tokens))


def overlap(tokenizer: Tokenizer, texts: Mapping[str, list[str]]) -> pl.DataFrame:
    """Of the ids that two languages use, the share that both use: a column and a row a language."""
    used = np.stack([_used(tokenizer, said) for said in texts.values()])
    both = used @ used.T
    sizes = np.diag(both)
    either = sizes[:, None] + sizes[None] - both
    share = np.divide(both, either, out=np.ones(both.shape), where=either > 0)
    return pl.DataFrame({"language": list(texts), **dict(zip(texts, share.T, strict=True))})


def _used(tokenizer: Tokenizer, texts: list[str]) -> Int64:
    return (np.bincount(tokenizer.encode(texts, eos=False).ids, minlength=tokenizer.size) > 0).astype(np.int64)
