"""Ids that stand for no text, and where each lies: 0 pad, 1 bos, 2 eos, 3 mask, 4 unknown, then special names, sentinels,
languages, and the codes of semantic ids, level by level. Text is never read as one of them, whatever it looks like.
"""

from collections.abc import Mapping

import numpy as np

from headrace.contracts.errors import ConfigError, listed, nearest
from headrace.contracts.requests import Int32, Int64
from headrace.text.config import ALWAYS, TokenizerConfig


class Reserved:
    def __init__(self, of: TokenizerConfig):
        names = [*ALWAYS, *of.special]
        self.special: Mapping[str, int] = {name: place for place, name in enumerate(names)}
        self.sentinels = range(len(names), len(names) + of.sentinels)
        names += [f"<sentinel:{number}>" for number in range(of.sentinels)]
        self.languages: Mapping[str, int] = {tag: len(names) + place for place, tag in enumerate(of.languages)}
        names += [f"<language:{tag}>" for tag in of.languages]
        self.codes: dict[str, tuple[int, int, int]] = {}
        """name -> first id, levels, values."""
        for name, levels, values in of.codes:
            self.codes[name] = (len(names), levels, values)
            names += [f"<{name}:{level}:{value}>" for level in range(levels) for value in range(values)]
        self.names = tuple(names)

    def sentinel(self, number: int) -> int:
        if not 0 <= number < len(self.sentinels):
            raise ConfigError(f"Sentinel {number} of {len(self.sentinels)}: train the tokenizer with more `sentinels`.")
        return self.sentinels[number]

    def one_of(self, what: str, options: Mapping[str, int], name: str) -> int:
        if name not in options:
            raise ConfigError(f'"{name}" is no {what} of this tokenizer.{nearest(name, options)} It has: {listed(options)}.')
        return options[name]

    def codes_at(self, name: str, levels: Int64, values: Int64) -> Int32:
        first, depth, width = self._range(name)
        if np.any((levels < 0) | (levels >= depth) | (values < 0) | (values >= width)):
            raise ConfigError(f'Codes "{name}" have levels 0 to {depth - 1} and values 0 to {width - 1}; received others.')
        return (first + levels * width + values).astype(np.int32)

    def values_at(self, name: str, ids: Int32) -> tuple[Int64, Int64]:
        """Level and value of each id; ConfigError where one is no code of this name."""
        first, depth, width = self._range(name)
        place = np.asarray(ids, np.int64) - first
        if np.any((place < 0) | (place >= depth * width)):
            raise ConfigError(f'Codes "{name}" are the ids {first} to {first + depth * width - 1}; received others.')
        level, value = np.divmod(place, width)
        return level, value

    def _range(self, name: str) -> tuple[int, int, int]:
        if name not in self.codes:
            has = listed(self.codes) or "none"
            raise ConfigError(f'"{name}" are no codes of this tokenizer.{nearest(name, self.codes)} It has: {has}.')
        return self.codes[name]
