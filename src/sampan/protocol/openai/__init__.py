"""OpenAI's completions, chat, embeddings and rerank as values: read, checked and written, no I/O.

What belongs here: the JSON of requests and answers. Routes are in `sampan.server.openai`; what a
model does with a request is a runtime's.
"""
