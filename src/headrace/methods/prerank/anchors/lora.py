"""A pre-trained language model taught to write interests as codes: an adapter, and a new word for each code.

    P(a | history) = Π_l softmax over level l's words of (state · o)[c_l],   after: instruction, codes of the newest items, c_1 ..

Every code of every level is a word of its own with a row of its own (`llm.added_words`): L·K rows beside the vocabulary, learned
with the adapter while all else stays. A code is one token, so the beams are those of `causal`, level by level in the tree
of codes. What is stored is the adapter and the rows, with the digest of the model they belong on; that model is read anew.
Shapes: history [R, T] -> tokens [R, T L] -> codes [R, n, L]. Cost of training: a pass forward and one back through the model, but
for the gradients of its weights; of writing: T L tokens a user and n (L - 1) more. Measured, 135 million parameters on one thread
of a CPU, 20 items of 3 codes, n = 10: 0.34 s to write a user's, 0.7 s to learn from one.
Use it where there are GPUs and a large log. It knows words, but codes are new to it, so what it knows of the world helps little
until much was learned; `causal` is the first to try and hard to beat on CPUs. Relation to `chat`: that one reads titles instead.
Paper: GPL (arXiv 2602.20995): Qwen2.5-0.5B and LoRA over the codes; rank, rate and epochs are our reading (docs/papers/gpl.md).
"""

from collections.abc import Mapping
from dataclasses import field
from typing import Annotated, Any, Literal

import numpy as np
import torch
from annotated_types import Ge, Gt
from numpy.typing import NDArray
from torch import Tensor

from headrace.contracts.config import config
from headrace.contracts.errors import ArtifactError, ConfigError
from headrace.contracts.interactions import Interactions
from headrace.contracts.seams import Learned
from headrace.contracts.training import TrainConfig
from headrace.encode.semantic_ids.coded import Coded
from headrace.llm.added_words import AddedWords, Going
from headrace.llm.causal import Causal, causal
from headrace.llm.lora import LoraConfig
from headrace.llm.smollm import smollm
from headrace.methods.prerank.anchors.coded import CodedWriter

OWN_MODEL = "smollm"


@config
class LoraWriterConfig:
    model: str = OWN_MODEL
    """A GGUF file, a model folder (from where the command is run), "owner/name" on the hub, or smollm: SmolLM2-135M-Instruct."""
    prompt: str = "The items that somebody chose, the oldest first, each as codes:"
    """Read before the codes; "": nothing is."""
    lora: LoraConfig = LoraConfig(rank=16, alpha=32.0)
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Of the model's weights, which stay."""
    device: str = "cpu"
    """Where anchors are written; the trainer looks for one of its own."""
    length: Annotated[int, Gt(0)] = 20
    """Newest items that are read."""
    thin: Annotated[float, Ge(0)] = 1e-3
    """Share of all events above which an item's events are thinned; 0: none are."""
    batch_size: Annotated[int, Gt(0)] = 16
    rows: Annotated[int, Gt(0)] = 16
    """Users whose anchors are written together."""
    train: TrainConfig = field(default_factory=lambda: TrainConfig(epochs=2, learning_rate=1e-4, beta2=0.999))

    def __post_init__(self) -> None:
        if self.train.shard:
            raise ConfigError("lora: train.shard would cut the model that stays as well as its adapter. Set it to false.")


class LoraWriter(CodedWriter):
    Config = LoraWriterConfig
    revision = 1
    name = "lora"
    at_once = 64

    def __init__(self, config: LoraWriterConfig, *, seed: int = 0, base: Causal | None = None):
        """base: read already; else the one that the settings name is, when it is needed. The adapter is put on it.

        Stored, `base` is what the adapter belongs on: name and digest.
        """
        super().__init__(config, seed=seed)
        self.rows, self._base = config.rows, base
        self.base = dict[str, str]()

    def learn(self, interactions: Interactions, artifacts: Mapping[str, Any]) -> Learned:
        made = super().learn(interactions, artifacts)
        return Learned(
            self, made.objectives, made.batches, needs=self.needs, made_of={**made.made_of, "base": self.base["digest"]}
        )

    def build(self) -> None:
        settings = self.config
        read = self._base or causal(smollm() if settings.model == OWN_MODEL else settings.model, dtype=settings.dtype)
        found = {"name": read.name, "digest": read.digest}
        if self.base and self.base["digest"] != found["digest"]:
            raise ArtifactError(
                f'lora: the adapter belongs on {self.base["name"]} ({self.base["digest"][:16]}), and model = "{settings.model}" '
                f"is {found['name']} ({found['digest'][:16]}). Name the model it was trained on, or train it again."
            )
        self._base, self.base = None, found
        words = sum(self.sizes)
        self.words = AddedWords(read, words, settings.lora, seed=self.seed, prompt=settings.prompt)
        longest = (settings.length + 1) * len(self.sizes)
        if len(self.words.prompt) + longest > self.words.reach:
            raise ConfigError(
                f"lora: {settings.length} items of {len(self.sizes)} codes each, one more and the prompt are "
                f"{len(self.words.prompt) + longest:,} tokens, and {read.name} sees {self.words.reach:,}. Lower length."
            )

    def read(self, tokens: Tensor) -> Tensor:
        """Where a window has ended, whatever is read there stands behind all that counts."""
        return self.words.states((tokens - 1).clamp(min=0))

    def vectors(self) -> list[Tensor]:
        return list(torch.split(self.words.output, list(self.sizes)))

    def going_on(self, tokens: Tensor) -> Going:
        starts = (self.starts - 1).tolist()
        return Going(self.words, tokens - 1, [slice(start, start + size) for start, size in zip(starts, self.sizes, strict=True)])

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        said = {f"base.{key}": np.frombuffer(value.encode(), np.uint8) for key, value in self.base.items()}
        return {**super().arrays(), **said}

    @classmethod
    def from_arrays(
        cls, config: LoraWriterConfig, arrays: Mapping[str, NDArray[Any]], base: Causal | None = None
    ) -> "LoraWriter":
        made = cls(config, seed=int(arrays["seed"]), base=base)
        made.base = {key: arrays[f"base.{key}"].tobytes().decode() for key in ("name", "digest")}
        made._put_back({name: values for name, values in arrays.items() if not name.startswith("base.")})
        return made

    def _make(self, coded: Coded, cut_us: int) -> None:
        super()._make(coded, cut_us)
        self.to(self.config.device)
