"""Workloads as objects of a Kubernetes cluster, the same objects that KServe's controller makes.

Pure functions from a plan to objects, one file a kind; `render.py` puts them together by mode, and
`pods/` holds what happens to a pod when it is created. Which runtime, model or replica count is
decided in `sampan.plan`; talking to an API server belongs to the operator, not here.
"""
