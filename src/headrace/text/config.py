"""What a tokenizer is asked to be."""

from collections import Counter
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le

from headrace.contracts.config import config
from headrace.contracts.errors import ConfigError

BYTES = 256
PAD, BOS, EOS, MASK, UNKNOWN = range(5)
ALWAYS = ("<pad>", "<bos>", "<eos>", "<mask>", "<unknown>")


@config
class TokenizerConfig:
    """kind: "bpe" (bytes, merged by frequency), "unigram" (pieces with probabilities) or "bytes" (nothing is learned).

    size: of all ids together, reserved ones included; at most so many, since few texts have few pieces. 0 for "bytes".
    sentinels: how many <sentinel:i>, for spans that were cut out. languages: tags, each an id <language:tag>.
    codes: (name, levels, values) of semantic ids, an id for each value at each level. special: names of further ids.
    coverage: share of the training text's characters that are pieces of their own (unigram); the others are read as bytes.
    """

    kind: Literal["bpe", "unigram", "bytes"] = "bpe"
    size: Annotated[int, Ge(0)] = 0
    sentinels: Annotated[int, Ge(0)] = 0
    languages: tuple[str, ...] = ()
    codes: tuple[tuple[str, int, int], ...] = ()
    special: tuple[str, ...] = ()
    coverage: Annotated[float, Gt(0), Le(1)] = 0.9995

    def __post_init__(self) -> None:
        codes = Counter(name for name, _, _ in self.codes)
        special, languages = Counter((*ALWAYS, *self.special)), Counter(self.languages)
        for what, found in (("special", special), ("languages", languages), ("codes", codes)):
            twice = [name for name, times in found.items() if times > 1]
            if twice:
                raise ConfigError(f'Tokenizer: "{twice[0]}" stands twice in {what}. Each name has one id.')
        for name, levels, values in self.codes:
            if levels < 1 or values < 1:
                raise ConfigError(
                    f'Tokenizer: codes "{name}" have {levels} levels of {values} values, expected 1 or more of each.'
                )
        if self.kind == "bytes" and self.size not in (0, self.least):
            raise ConfigError(f"Tokenizer: a size of {self.size}; bytes with these reserved ids have {self.least}. Leave it out.")
        if self.kind != "bytes" and self.size <= self.least:
            raise ConfigError(
                f"Tokenizer: a size of {self.size}; {self.reserved} reserved ids and {BYTES} bytes take {self.least}, and "
                f"{self.kind} learns what is left. Set size to more, such as {self.least + 4_000}."
            )

    @property
    def reserved(self) -> int:
        """Ids that stand for no text; they come first."""
        codes = sum(levels * values for _, levels, values in self.codes)
        return len(ALWAYS) + len(self.special) + self.sentinels + len(self.languages) + codes

    @property
    def least(self) -> int:
        return self.reserved + BYTES
