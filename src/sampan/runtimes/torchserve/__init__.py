"""TorchServe: model archives (`.mar`) with their handlers, its settings, its inference API.

What belongs here: reading archives and `config.properties`, and asking handlers. The handlers that
archives name are those of the package `torchserve`, or the archive's own code.
"""
