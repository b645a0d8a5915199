"""Hugging Face: a folder of transformers' form, as kserve-huggingfaceserver serves it.

What belongs here: its arguments and tasks, texts to tensors and back, and how a text goes on. The
JSON of OpenAI's routes is in `sampan.protocol.openai`, the routes are in `sampan.server.openai`.
"""
