"""Random encoders of Hugging Face in folders, small enough to make in a test: one that counts places from 0, one from behind its
padding, and one that is half of an encoder-decoder."""

from transformers import BertConfig, BertModel, PreTrainedTokenizerFast, RobertaConfig, RobertaModel, T5Config, T5Model

from headrace.nn.seeded import seeded
from tests.encode import tiny

SHAPE = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}


def bert(folder):
    settings = BertConfig(vocab_size=len(tiny.WORDS), max_position_embeddings=24, pad_token_id=0, **SHAPE)
    _write(folder, lambda: BertModel(settings), cls_token="[CLS]", sep_token="[SEP]")


def roberta(folder):
    settings = RobertaConfig(vocab_size=len(tiny.WORDS), max_position_embeddings=24, pad_token_id=0, **SHAPE)
    _write(folder, lambda: RobertaModel(settings), cls_token="[CLS]", sep_token="[SEP]")


def t5(folder):
    settings = T5Config(
        vocab_size=len(tiny.WORDS), d_model=16, d_ff=24, num_layers=2, num_heads=2, d_kv=8, pad_token_id=0, eos_token_id=3,
        decoder_start_token_id=0,
    )  # fmt: skip
    _write(folder, lambda: T5Model(settings), ends="T5", eos_token="[SEP]")


MAKERS = {"bert": bert, "roberta": roberta, "t5": t5}


def _write(folder, make, ends="", **signs):
    path = folder / "made.json"
    tiny.write_tokenizer(path)
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(path), pad_token="[PAD]", unk_token="[UNK]", **signs)
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()
    if ends:
        from tokenizers.processors import TemplateProcessing

        tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single="$A [SEP]", special_tokens=[("[SEP]", 3)])
    path.unlink()
    with seeded(0, "tiny encoder"):
        make().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
