"""Admission and conversion webhooks of a cluster (Kubernetes, "Dynamic Admission Control").

The same functions that default, validate and convert objects on a laptop, and that mutate pods in
`sampan render`, asked by a cluster's API server over TLS. Paths are KServe's.
"""
