"""Kubernetes-shaped plumbing that knows no KServe kind: errors, registry, store, patches, queues.

A file that names InferenceService does not belong here; it belongs in `sampan.api` or above.
The files that `api` and `plan` use (errors, registry, quantity, labels, patch, suggest) do no I/O.
"""
