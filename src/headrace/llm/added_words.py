"""New words of a language model that has an adapter: their own rows beside its vocabulary, learned with the adapter alone.

    logit of new word w after what was read = h · o_w,     h: the model's last state, o_w: w's output row

    model = AddedWords(read, count=97, settings, seed=0, prompt="Items, oldest first:")
    model.states(words)                                  [B, S] -> [B, S, d]
    Going(model, words), for `nn.decode.beam`            W beams go on from one past, which is read and kept once

What is read is the prompt, in the model's own words, and then new words alone, so the old vocabulary takes no part in a softmax
and stays as it is. What is read of new words is drawn around the old rows' mean with their deviation, each dimension by itself:
where the model expects words to be. What says them begins at the mean of the old output rows, so that all are equally likely at
first, and is not tied, whether or not the model's are: tied, random rows would begin far surer than chance. Control tokens in the
prompt are broken.

Beams are read as one row: a level's W words follow each other in the cache, and a mask lets each see the past and the words of
its own beam. So nothing of the past is copied, whatever W is.
Shapes: R rows, S words, W beams, L levels. Memory of the cache R (S + W (L - 1)) positions. Cost: a pass over the past, and W
words a level. Paper: Hu et al., LoRA, ICLR 2022, for the adapter (`llm.lora`).
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding, log_softmax

from headrace.contracts.errors import DataError
from headrace.llm.causal import Causal, new_cache
from headrace.llm.lora import LoraConfig, adapted
from headrace.llm.templated import Template
from headrace.nn.seeded import seeded


class AddedWords(nn.Module):
    """It puts an adapter on the model it is given, whose state is the adapter's and the new rows'. count: of new words."""

    def __init__(self, read: Causal, count: int, settings: LoraConfig, *, seed: int, prompt: str):
        super().__init__()
        self.adapter = adapted(read.model, settings, seed=seed)
        old: Tensor = read.model.get_input_embeddings().weight.detach()
        output: Tensor = read.model.get_output_embeddings().weight.detach()
        self.rows = nn.Parameter(_drawn(count, old, seed))
        self.output = nn.Parameter(output.float().mean(0).repeat(count, 1))
        template = Template(read.tokenizer)
        ids = torch.tensor(template.encoded(template.broken(prompt)), dtype=torch.long)
        self.register_buffer("prompt", ids.to(old.device), persistent=False)
        self.prompt: Tensor
        self.reach = int(getattr(read.model.config, "max_position_embeddings", 0)) or 2**31

    def states(self, words: Tensor) -> Tensor:
        """After each; none sees what follows it."""
        return self.after(words, None)[:, len(self.prompt) :]

    def after(self, words: Tensor, cache: object) -> Tensor:
        """The same with the prompt's own in front. cache: filled with all that was read."""
        self.refuse_long(words.shape[1])
        before = self._embedded_prompt().expand(len(words), -1, -1)
        return self._read(torch.cat([before, self._embedded(words)], 1), cache)

    def going_on(self, words: Tensor, cache: object, position: int, hidden: Tensor) -> Tensor:
        """[R, W] words at one position each -> [R, W, d]. hidden [R, W, what was read and these]: what a word doesn't see."""
        embedded = self._embedded(words)
        mask = embedded.new_zeros(hidden.shape).masked_fill(hidden, torch.finfo(embedded.dtype).min)[:, None]
        return self._read(embedded, cache, attention_mask=mask, position_ids=torch.full_like(words, position))

    def refuse_long(self, words: int) -> None:
        if len(self.prompt) + words > self.reach:
            raise DataError(
                f"a prompt of {len(self.prompt):,} tokens and {words:,} codes: the model sees {self.reach:,}. Read fewer items."
            )

    def _read(self, embedded: Tensor, cache: object, **more: Tensor) -> Tensor:
        """The body alone: no logits of old words are made. `base_model`: as every model of transformers calls it."""
        body = self.adapter.model.base_model
        found: Tensor = body(inputs_embeds=embedded, cache=cache, use_cache=cache is not None, **more).last_hidden_state
        return found

    def _embedded(self, words: Tensor) -> Tensor:
        return embedding(words, self.rows).to(self.adapter.model.dtype)

    def _embedded_prompt(self) -> Tensor:
        found: Tensor = self.adapter.model.get_input_embeddings()(self.prompt)
        return found


class Going:
    """Rows [R, S] of words without padding, gone on from as `beam_search` asks for it. blocks: each level's words."""

    @torch.inference_mode()
    def __init__(self, model: AddedWords, words: Tensor, blocks: Sequence[slice]):
        self.model, self.blocks, self.cache = model, blocks, new_cache()
        model.refuse_long(words.shape[1] + len(blocks) - 1)
        self.past = len(model.prompt) + words.shape[1]
        self.read = model.after(words, self.cache)[:, -1]
        self.seen: Tensor | None = None

    @torch.inference_mode()
    def first(self) -> Tensor:
        return self._log_probs(self.read, 0)

    @torch.inference_mode()
    def next(self, origin: Tensor, codes: Tensor, level: int) -> Tensor:
        rows, width = codes.shape
        own = torch.eye(width, dtype=torch.bool, device=codes.device).expand(rows, -1, -1)
        if self.seen is None:
            self.seen = own
        else:
            earlier = self.seen.gather(1, origin[..., None].expand(-1, -1, self.seen.shape[2]))
            self.seen = torch.cat([earlier, own], 2)
        hidden = torch.cat([self.seen.new_zeros(rows, width, self.past), ~self.seen], 2)
        words = codes + self.blocks[level - 1].start
        return self._log_probs(self.model.going_on(words, self.cache, self.past + level - 1, hidden), level)

    def _log_probs(self, states: Tensor, level: int) -> Tensor:
        return log_softmax((states.to(self.model.output.dtype) @ self.model.output[self.blocks[level]].T).float(), -1)


def _drawn(count: int, old: Tensor, seed: int) -> Tensor:
    """[count, d] float32: normal, with the mean and the deviation of the old rows."""
    mean, deviation = old.float().mean(0).cpu(), old.float().std(0).cpu()
    with seeded(seed, "added words"):
        return (mean + deviation * torch.randn(count, old.shape[1])).to(old.device)
