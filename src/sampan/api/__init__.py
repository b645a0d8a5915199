"""Kinds as data: one folder a kind, with types, defaults, validation and conditions.

No I/O and no clock. What *should run* for an object is decided in `sampan.plan`; how objects are
stored is `sampan.machinery.store`; how they are served over HTTP is `sampan.apiserver`.
"""
