"""The Kubernetes-style REST API over a store: what kubectl and the SDK talk to.

Knows whatever the registry lists and no KServe kind by name.
"""
