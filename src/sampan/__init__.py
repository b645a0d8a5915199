"""Sampan: model serving with KServe's API, on a laptop and on Kubernetes.

Importing this package loads nothing else: each part is imported from its own module.
"""

__version__ = "0.1.0"
