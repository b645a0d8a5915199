"""The sidecar of a pod: requests pass through it to be logged or batched, models are pulled by it.

Knows HTTP and the folders it is given, no kind and no cluster: what it does is in its arguments.
How requests travel is `sampan.wire`, how models come is `sampan.storage`.
"""
