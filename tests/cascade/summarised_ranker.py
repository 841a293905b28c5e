"""A ranker that reads users as words, so that a test sees where they are shown."""

import numpy as np
import torch

from headrace.contracts.requests import Requests
from headrace.methods.rank.dcnv2 import DCNv2

NAME = "tests.cascade.summarised_ranker:Summarised"
RANK = f"""
[rank]
use = "{NAME}"
["rank"."{NAME}"]
hidden = [8]
history = 5
train = {{ epochs = 1 }}
"""


class Summarised(DCNv2):
    """Says the stored summary and how many events the request carries; of nobody it has words too. needs: summaries also."""

    needs = (*DCNv2.needs, "summaries")
    said: torch.Tensor

    def learn(self, interactions, artifacts):
        found = super().learn(interactions, artifacts)
        self._kept(torch.tensor(list("\n".join(artifacts["summaries"].texts).encode()), dtype=torch.uint8))
        return found

    @classmethod
    def from_arrays(cls, config, arrays):
        made = cls(config)
        said = torch.from_numpy(np.array(arrays["said"]))
        made._filled({name: values for name, values in arrays.items() if name != "said"})
        made._kept(said)
        return made

    def summaries_of(self, requests: Requests) -> list[str]:
        texts = bytes(self.said.tolist()).decode().split("\n")
        return [
            f"{texts[user] or 'nobody'}\nof {events} events"
            for user, events in zip(requests.users.tolist(), requests.history.lengths.tolist(), strict=True)
        ]

    def _kept(self, said):
        self.register_buffer("said", said)
