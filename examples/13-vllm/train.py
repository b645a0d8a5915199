"""Save a tiny Llama with random weights and a tokenizer of bytes, `model/`: it says nothing of use.

Needs torch and transformers.
"""

from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

SPECIAL = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}

target = Path(__file__).parent / "model"
alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
vocabulary = {text: number for number, text in enumerate([*SPECIAL.values(), *alphabet])}
made = Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token=SPECIAL["unk_token"]))
made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
made.decoder = decoders.ByteLevel()
tokenizer = PreTrainedTokenizerFast(tokenizer_object=made, **SPECIAL)
tokenizer.chat_template = (
    "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}assistant: "
)
tokenizer.save_pretrained(target)

torch.manual_seed(0)
config = LlamaConfig(
    vocab_size=len(vocabulary), hidden_size=128, intermediate_size=128, num_hidden_layers=2,
    num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=256,
    bos_token_id=0, eos_token_id=1,
)  # fmt: skip
LlamaForCausalLM(config).save_pretrained(target)
print(f"saved a model of {len(vocabulary)} tokens, model/")
