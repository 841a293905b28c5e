import torch
from torch import nn
from torch.testing import assert_close

from tests.encode import tiny


def batch():
    tokens = torch.randint(4, len(tiny.WORDS), (5, 9), generator=torch.Generator().manual_seed(1))
    kept = (torch.arange(9) < torch.tensor([9, 4, 1, 7, 9])[:, None]).long()
    return tokens * kept, kept


def slow(tensors, tokens, kept):
    """torch's own layers, the three tables added as the paper adds them, one text at a time and without padding."""
    vectors = []
    for row, mask in zip(tokens, kept, strict=True):
        row = row[mask.bool()]
        tables = [tensors[f"embeddings.{kind}_embeddings.weight"] for kind in ("word", "position", "token_type")]
        x = tables[0][row] + tables[1][: len(row)] + tables[2][0]
        x = nn.functional.layer_norm(
            x, (tiny.DIM,), tensors["embeddings.LayerNorm.weight"], tensors["embeddings.LayerNorm.bias"], 1e-12
        )
        for number in range(tiny.LAYERS):
            x = layer(tensors, f"encoder.layer.{number}")(x[None])[0]
        vectors.append(x.mean(0) / x.mean(0).norm())
    return torch.stack(vectors)


def layer(tensors, at):
    made = nn.TransformerEncoderLayer(
        tiny.DIM, tiny.HEADS, tiny.WIDE, 0.0, nn.functional.gelu, layer_norm_eps=1e-12, batch_first=True
    ).eval()
    names = {"linear1": "intermediate.dense", "linear2": "output.dense", "norm1": "attention.output.LayerNorm"}
    names |= {"norm2": "output.LayerNorm", "self_attn.out_proj": "attention.output.dense"}
    state = {}
    for end in ("weight", "bias"):
        parts = [tensors[f"{at}.attention.self.{part}.{end}"] for part in ("query", "key", "value")]
        state[f"self_attn.in_proj_{end}"] = torch.cat(parts)
        state |= {f"{ours}.{end}": tensors[f"{at}.{theirs}.{end}"] for ours, theirs in names.items()}
    made.load_state_dict(state)
    return made


@torch.no_grad()
def test_it_is_bert_with_mean_pooling(tiny_bert):
    tokens, kept = batch()
    assert_close(tiny_bert(tokens, kept), slow(tiny.tensors(), tokens, kept), rtol=0, atol=1e-6)


@torch.no_grad()
def test_what_stands_in_the_padding_has_no_say(tiny_bert):
    tokens, kept = batch()
    assert_close(tiny_bert(tokens + 3 * (1 - kept), kept), tiny_bert(tokens, kept))
