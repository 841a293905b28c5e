"""A mixture of experts in place of a feed-forward: each token takes its top_k experts, weighed by the router's gate.

    dot:     s_i = h · e_i                                    the usual router; it draws states towards the span of the e_i
    sphere:  s_i = (W h) · e_i / (|W h| |e_i|)                X-MoE: on a sphere of few dimensions, with learned temperature
    out = Σ_{k in top_k(s)} g_k FFN_k(h),   g = softmax(s/τ) or sigmoid(s/τ); several softmax gates are scaled to sum to 1
    balance = N · Σ_i t_i · mean over tokens of softmax(s/τ₀)_i,   t_i: the share of tokens sent to i, a constant

τ is learned and kept at 0.01 or more, τ₀ stays (0.3 with a softmax gate, 0.07 with a sigmoid; 1 for dot). Padding counts in no
balance. Routing is in float32. No expert has a capacity: no token is dropped, and a row's result hangs on no other row.
Cost O(T d w top_k). In fine-tuning X-MoE freezes routers and experts (`frozen.freeze_routing`) and keeps the balance loss.
Paper: X-MoE (arXiv 2204.09179), sections 3 and 4: as in the paper, from which the released router differs. top_k > 1 and the
dot router's τ = 1 are our reading.
"""

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, normalize, one_hot

from headrace.nn.body.cache import Slot
from headrace.nn.body.call import Call
from headrace.nn.body.config import TransformerConfig
from headrace.nn.body.feedforward import FeedForward

BALANCE_TEMPERATURE = {"softmax": 0.3, "sigmoid": 0.07}
LEAST_TEMPERATURE, LEAST_WIDTH = 0.01, 4


class Router(nn.Module):
    def __init__(self, of: TransformerConfig):
        super().__init__()
        routing = of.routing
        self.gate, self.sphere = routing.gate, routing.router == "sphere"
        width = min(routing.width or max(routing.experts // 2, LEAST_WIDTH), of.dim) if self.sphere else of.dim
        self.experts = nn.Parameter(torch.empty(routing.experts, width))
        nn.init.normal_(self.experts, std=width**-0.5)
        if self.sphere:
            self.down = nn.Linear(of.dim, width, bias=False)
            self.temperature = nn.Parameter(torch.tensor(routing.temperature))

    def forward(self, x: Tensor) -> Tensor:
        """[n, d] -> scores [n, N], float32."""
        with torch.autocast(x.device.type, enabled=False):  # which would round the products, and so the choice
            if not self.sphere:
                return linear(x.float(), self.experts.float())
            return normalize(linear(x.float(), self.down.weight.float()), dim=-1) @ normalize(self.experts.float(), dim=-1).T

    def gates(self, scores: Tensor, chosen: Tensor) -> Tensor:
        """scores [n, N], chosen [n, k] -> [n, k]."""
        scaled = scores / self.temperature.float().clamp(min=LEAST_TEMPERATURE) if self.sphere else scores
        every = scaled.sigmoid() if self.gate == "sigmoid" else scaled.softmax(-1)
        gates = every.gather(1, chosen)
        return gates / gates.sum(-1, keepdim=True) if self.gate == "softmax" and chosen.shape[1] > 1 else gates

    def balance(self, scores: Tensor, chosen: Tensor) -> Tensor:
        if not len(scores):
            return scores.sum()
        settled = BALANCE_TEMPERATURE[self.gate] if self.sphere else 1.0
        sent = one_hot(chosen, scores.shape[1]).float().mean((0, 1))
        return scores.shape[1] * (sent * (scores / settled).softmax(-1).mean(0)).sum()


class Experts(nn.Module):
    def __init__(self, of: TransformerConfig):
        super().__init__()
        self.top_k = of.routing.top_k
        self.router = Router(of)
        self.experts = nn.ModuleList(FeedForward(replace(of, adapters=())) for _ in range(of.routing.experts))

    def forward(self, x: Tensor, call: Call, slot: Slot | None = None) -> Tensor:
        flat = x.reshape(-1, x.shape[-1])
        scores: Tensor = self.router(flat)
        chosen = scores.topk(self.top_k, -1).indices
        gates = self.router.gates(scores, chosen).to(x.dtype)
        counted = slice(None) if call.counted is None else call.counted.reshape(-1)
        call.balance.append(self.router.balance(scores[counted], chosen[counted]))
        call.chosen.append(chosen.view(*x.shape[:-1], self.top_k))
        out = torch.zeros_like(flat)
        for number, expert in enumerate(self.experts):
            token, place = (chosen == number).nonzero(as_tuple=True)
            if len(token):
                out = out.index_add(0, token, gates[token, place, None] * expert(flat[token], call))
        return out.view(x.shape)
