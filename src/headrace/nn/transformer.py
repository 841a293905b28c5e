"""A causal Transformer body, pre-norm: x + attention(norm(x)), then x + feed_forward(norm(x)), a norm at the end.

Rows are padded behind their last item, so causality alone keeps padding out of every real position: no padding mask is needed.
Cost O(T² d + T d²) a row and layer.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, scaled_dot_product_attention


class Block(nn.Module):
    def __init__(self, dim: int, heads: int, dropout: float):
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.attention_norm, self.feed_norm = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.qkv, self.out = nn.Linear(dim, 3 * dim, bias=False), nn.Linear(dim, dim, bias=False)
        self.widen, self.narrow = nn.Linear(dim, 4 * dim), nn.Linear(4 * dim, dim)
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """[B, T, d] -> [B, T, d]."""
        batch, length, dim = x.shape
        qkv = self.qkv(self.attention_norm(x)).view(batch, length, 3, self.heads, dim // self.heads).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.unbind(0)
        mixed = scaled_dot_product_attention(q, k, v, is_causal=True, dropout_p=self.dropout if self.training else 0.0)
        x = x + self.drop(self.out(mixed.transpose(1, 2).reshape(batch, length, dim)))
        fed: Tensor = x + self.drop(self.narrow(gelu(self.widen(self.feed_norm(x)))))
        return fed


class CausalTransformer(nn.Module):
    """dim must be a multiple of heads."""

    def __init__(self, dim: int, layers: int, heads: int, length: int, dropout: float):
        super().__init__()
        self.positions = nn.Embedding(length, dim)
        self.blocks = nn.ModuleList(Block(dim, heads, dropout) for _ in range(layers))
        self.drop, self.norm = nn.Dropout(dropout), nn.LayerNorm(dim)
        nn.init.normal_(self.positions.weight, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        """[B, T, d] -> [B, T, d], T at most the length it was made for."""
        x = self.drop(x + self.positions(torch.arange(x.shape[1], device=x.device)))
        for block in self.blocks:
            x = block(x)
        normed: Tensor = self.norm(x)
        return normed
