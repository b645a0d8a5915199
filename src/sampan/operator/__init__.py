"""The operator of a cluster: the same plans as on a laptop, made true by an API server's objects.

gather from caches → plan → render → diff → server-side apply → observe children → one status
write. What should run is decided in `sampan.plan`, which objects stand for it and what status they
amount to in `sampan.platforms.kubernetes`; here is only what talks to the cluster: connection,
caches, work queue, election, and the order of a reconcile.
"""
