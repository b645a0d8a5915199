"""What happens to a service's pod when it is created: the model, the credentials, the sidecars.

Pure functions from a pod and what surrounds it to the pod as it should run, one file a concern;
`mutate.py` says in which order. What the annotations mean is written in `sampan.plan.pod_metadata`;
answering admission requests belongs to the operator.
"""
