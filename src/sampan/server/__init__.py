"""The model server: models, their repository, the transport-neutral dataplane, metrics.

Loads no control-plane code. Frameworks are imported by `sampan.runtimes`, sockets by `sampan.wire`.
"""
