"""Supervised fine-tuning: a local language model learns to say what the assistant says in examples, by an adapter.

    loss = mean over the assistant's tokens of  -log p(token | its chat before it),      the model's own weights stay

    sft = Sft(SftConfig(length=256), seed=0)
    learned = sft.learn(causal("model.gguf"), chats)        for the trainer; `adapter` is what it moves

Chats are written by the model's own template, its tokens marked (`llm.templated`) and packed several to a row without seeing each
other (`data.packed_rows`): the loss is that of each chat alone. A checkpoint holds the adapter and the optimizer's moments of it,
not the model. Cost of a step: a pass forward and one back through all maps, without the gradients of their weights.
Use it to teach a task of which there are some hundred examples, or a form of answering. It teaches what is said, not the truth.
Paper: Hu et al., LoRA, ICLR 2022 (arXiv 2106.09685); masked targets as in Ouyang et al., NeurIPS 2022 (arXiv 2203.02155).
"""

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from annotated_types import Gt

from headrace.contracts.chat import Chat
from headrace.contracts.config import config
from headrace.contracts.errors import ConfigError, DataError
from headrace.contracts.seams import Batches, Learned
from headrace.contracts.training import TrainConfig
from headrace.data.packed_rows import PackedRows
from headrace.data.tokens import Tokens
from headrace.llm.causal import Causal
from headrace.llm.lora import Adapted, LoraConfig, adapted
from headrace.llm.templated import Template
from headrace.objectives.spoken import SpokenTokens

TRAIN = TrainConfig(
    epochs=1, learning_rate=1e-3, schedule="linear", warmup_steps=5, beta2=0.999, checkpoint_every_steps=50
)  # fmt: skip


@config
class SftConfig:
    """length: tokens of a row, which the longest chat must fit; rows: of a batch."""

    lora: LoraConfig = LoraConfig()
    length: Annotated[int, Gt(1)] = 512
    rows: Annotated[int, Gt(0)] = 4
    train: TrainConfig = TRAIN


class Sft:
    """adapter: on the model, once `learn` was called. The trainer is given `config.train`."""

    Config = SftConfig
    revision = 1
    adapter: Adapted

    def __init__(self, config: SftConfig, *, seed: int = 0):
        self.config, self.seed = config, seed

    def learn(self, read: Causal, chats: Sequence[Chat]) -> Learned:
        """Puts the adapter on the model it is given. DataError for a chat that can't be learned from, by its number."""
        if self.config.train.shard:
            raise ConfigError("train.shard would cut the model that stays as well as its adapter. Set it to false.")
        _refuse_reach(read, self.config.length)
        batches = rows_of(read, chats, self.config, seed=self.seed)
        self.adapter = adapted(read.model, self.config.lora, seed=self.seed)
        return Learned(self.adapter, [SpokenTokens()], batches, made_of={"base": read.digest})


def rows_of(read: Causal, chats: Sequence[Chat], settings: SftConfig, *, seed: int) -> Batches:
    if not chats:
        raise DataError("there is no chat to learn from.")
    template, said = Template(read.tokenizer), []
    for number, chat in enumerate(chats):
        try:
            said.append(template.spoken(chat))
        except DataError as error:
            raise DataError(f"chat {number:,}: {error}") from None
    tokens, learned = Tokens.of([one.ids for one in said]), np.concatenate([one.learned for one in said])
    return PackedRows(tokens, learned, length=settings.length, batch_size=settings.rows, seed=seed)


def _refuse_reach(read: Causal, length: int) -> None:
    """Rows are masked as if every token saw all before it, up to the model's context."""
    of = read.model.config
    reach = min(
        (n for n in (getattr(of, "max_position_embeddings", None), getattr(of, "sliding_window", None)) if n), default=length
    )
    if length > reach:
        raise ConfigError(f"length is {length:,}, and {read.name} sees {reach:,} tokens. Set it to that or less.")
