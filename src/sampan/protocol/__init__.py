"""Wire formats without I/O: V1, V2, tensors and their errors.

Functions here turn bytes into requests and answers into bytes. Sockets live in `sampan.wire`,
models in `sampan.server`.
"""
