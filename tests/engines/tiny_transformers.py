"""Tiny random models of transformers' form, with a tokenizer of bytes, made on the spot."""

from __future__ import annotations

from pathlib import Path

SEEN = 256
"""Places of every model here."""

TEMPLATE = (
    "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)


def save_tokenizer(folder: Path, *, template: str | None = TEMPLATE) -> int:
    """Save a tokenizer with a token a byte and a few special ones; return how many there are."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    special = ["<s>", "</s>", "<unk>", "<mask>", "<pad>"]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {text: number for number, text in enumerate([*special, *alphabet])}
    made = Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A </s> $B", special_tokens=[("<s>", 0), ("</s>", 1)]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=made, bos_token="<s>", eos_token="</s>", unk_token="<unk>",
        mask_token="<mask>", pad_token="<pad>",
    )  # fmt: skip
    if template:
        tokenizer.chat_template = template
    tokenizer.save_pretrained(str(folder))
    return len(vocabulary)


def save_llama(folder: Path, *, template: str | None = TEMPLATE, seed: int = 0) -> None:
    """Save a Llama of two layers; its heads are as wide as vLLM's kernels for CPUs ask."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    size = save_tokenizer(folder, template=template)
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=size, hidden_size=128, intermediate_size=128, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=SEEN,
        bos_token_id=0, eos_token_id=1,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(str(folder))


def save_t5(folder: Path) -> None:
    """Save a T5 of two layers."""
    import torch
    from transformers import T5Config, T5ForConditionalGeneration

    size = save_tokenizer(folder)
    torch.manual_seed(0)
    config = T5Config(
        vocab_size=size, d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4, n_positions=SEEN,
        decoder_start_token_id=4, pad_token_id=4, eos_token_id=1,
    )  # fmt: skip
    T5ForConditionalGeneration(config).save_pretrained(str(folder))


def save_bert(folder: Path, head: str, classes: int = 2) -> None:
    """Save a BERT of two layers with a head: the name of transformers' class."""
    import torch
    import transformers

    size = save_tokenizer(folder)
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=size, hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
        intermediate_size=64, max_position_embeddings=SEEN, num_labels=classes, pad_token_id=4,
    )  # fmt: skip
    getattr(transformers, head)(config).save_pretrained(str(folder))
