"""The status of a service on a cluster, derived from the objects that it is made of there.

KServe, status: in Standard mode a component is what its Deployment says, in Knative mode what its
Knative Service says, in their words. Pure; one file a part of the status, put together in
`service.py`.
"""
