"""Triton's server, as far as its interface: a model repository of `config.pbtxt` and versions.

What belongs here: reading repositories, the backends that run their models, Triton's extensions of
V2 (versions, configuration, statistics, repository control). The engines are those of
`sampan.runtimes`; what V2 itself is stands in `sampan.server`.
"""
