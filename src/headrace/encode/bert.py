"""A sentence encoder's body: BERT, its token vectors (`states`) averaged and brought to unit length.

    x = norm(words + positions);  then each layer  x = norm(x + attention(x)),  x = norm(x + narrow(gelu(widen(x))))
    vector = sum over kept tokens of x / their number, divided by its length

Shapes: tokens [B, T] int64, kept [B, T] int64 (0 marks padding) -> [B, dim] float32. Cost O(T² d + T d²) a text and layer.
It stands apart from `nn.body` since published weights fix its shape and its arrays' names.
Papers: Devlin et al., NAACL 2019; mean pooling after Reimers and Gurevych, EMNLP 2019, section 3.
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, normalize

_EPS = 1e-12


class Block(nn.Module):
    def __init__(self, dim: int, wide: int, heads: int):
        super().__init__()
        self.heads = heads
        self.qkv, self.out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.widen, self.narrow = nn.Linear(dim, wide), nn.Linear(wide, dim)
        self.attention_norm, self.feed_norm = nn.LayerNorm(dim, _EPS), nn.LayerNorm(dim, _EPS)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        """x [B, T, d], bias [B, 1, 1, T] -> [B, T, d]."""
        batch, length, dim = x.shape
        size = dim // self.heads
        q, k, v = (part.view(batch, length, self.heads, size).transpose(1, 2) for part in self.qkv(x).chunk(3, -1))
        weights = (q @ k.transpose(2, 3) / math.sqrt(size) + bias).softmax(-1)
        x = self.attention_norm(x + self.out((weights @ v).transpose(1, 2).reshape(batch, length, dim)))
        fed: Tensor = self.feed_norm(x + self.narrow(gelu(self.widen(x))))
        return fed


class SentenceBert(nn.Module):
    """heads is not written in the weights' shapes, so it is given; everything else is."""

    def __init__(self, words: int, positions: int, dim: int, wide: int, layers: int, heads: int):
        super().__init__()
        self.words, self.positions = nn.Embedding(words, dim), nn.Parameter(torch.zeros(positions, dim))
        self.norm = nn.LayerNorm(dim, _EPS)
        self.blocks = nn.ModuleList(Block(dim, wide, heads) for _ in range(layers))

    def forward(self, tokens: Tensor, kept: Tensor) -> Tensor:
        x, mask = self._read(tokens, kept)
        mean = (x * mask[:, :, None]).sum(1) / mask.sum(1, keepdim=True).clamp(min=1.0)
        return normalize(mean, dim=-1)

    def states(self, tokens: Tensor, kept: Tensor) -> Tensor:
        """[B, T, dim]: each token's vector; what stands at padding means nothing."""
        return self._read(tokens, kept)[0]

    def _read(self, tokens: Tensor, kept: Tensor) -> tuple[Tensor, Tensor]:
        x = self.norm(self.words(tokens) + self.positions[: tokens.shape[1]])
        mask = kept.to(x.dtype)
        bias = (1.0 - mask)[:, None, None, :] * torch.finfo(x.dtype).min
        for block in self.blocks:
            x = block(x, bias)
        return x, mask

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor], heads: int) -> "SentenceBert":
        """From the names that Hugging Face's BertModel gives its weights; the pooler, which sentences do without, is left out."""
        words, positions = tensors["embeddings.word_embeddings.weight"], tensors["embeddings.position_embeddings.weight"]
        layers = sum(name.endswith("attention.self.query.weight") for name in tensors)
        wide = len(tensors["encoder.layer.0.intermediate.dense.bias"])
        made = cls(len(words), len(positions), words.shape[1], wide, layers, heads)
        # every token of a lone sentence has type 0, so that vector is part of each position's
        state = {"words.weight": words, "positions": positions + tensors["embeddings.token_type_embeddings.weight"][0]}
        for end in ("weight", "bias"):
            state[f"norm.{end}"] = tensors[f"embeddings.LayerNorm.{end}"]
            for layer in range(layers):
                theirs, ours = f"encoder.layer.{layer}", f"blocks.{layer}"
                parts = [tensors[f"{theirs}.attention.self.{part}.{end}"] for part in ("query", "key", "value")]
                state[f"{ours}.qkv.{end}"] = torch.cat(parts)
                for name, source in _PARTS.items():
                    state[f"{ours}.{name}.{end}"] = tensors[f"{theirs}.{source}.{end}"]
        made.load_state_dict(state)
        return made.eval()


_PARTS = {
    "out": "attention.output.dense",
    "attention_norm": "attention.output.LayerNorm",
    "widen": "intermediate.dense",
    "narrow": "output.dense",
    "feed_norm": "output.LayerNorm",
}
