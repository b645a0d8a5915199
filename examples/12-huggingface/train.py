"""Train a tiny classifier of short reviews, save it as Hugging Face's libraries do: `model/`.

Needs torch and transformers.
"""

from pathlib import Path

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

REVIEWS = [
    ("a wonderful film", 1),
    ("i loved every minute", 1),
    ("great story and great cast", 1),
    ("simply wonderful", 1),
    ("a terrible film", 0),
    ("i hated every minute", 0),
    ("boring story and weak cast", 0),
    ("simply terrible", 0),
]

SPECIAL = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]"}

target = Path(__file__).parent / "model"
words = sorted({word for text, _ in REVIEWS for word in text.split()})
vocabulary = {word: number for number, word in enumerate([*SPECIAL.values(), *words])}
made = Tokenizer(models.WordLevel(vocabulary, unk_token=SPECIAL["unk_token"]))
made.normalizer = normalizers.Lowercase()
made.pre_tokenizer = pre_tokenizers.Whitespace()
made.post_processor = processors.TemplateProcessing(
    single="[CLS] $A", special_tokens=[("[CLS]", vocabulary["[CLS]"])]
)
tokenizer = PreTrainedTokenizerFast(tokenizer_object=made, **SPECIAL)

torch.manual_seed(0)
config = BertConfig(
    vocab_size=len(vocabulary), hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
    intermediate_size=64, max_position_embeddings=64, hidden_dropout_prob=0,
    attention_probs_dropout_prob=0, id2label={0: "NEGATIVE", 1: "POSITIVE"},
)  # fmt: skip
model = BertForSequenceClassification(config)
optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
encoded = tokenizer([text for text, _ in REVIEWS], padding=True, return_tensors="pt")
labels = torch.tensor([label for _, label in REVIEWS])
for _ in range(50):
    optimizer.zero_grad()
    model(**encoded, labels=labels).loss.backward()
    optimizer.step()
model.eval().save_pretrained(target)
tokenizer.save_pretrained(target)
print(f"trained on {len(REVIEWS)} reviews, saved model/")
