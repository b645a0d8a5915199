"""The activator: requests for what sleeps wait here until it is awake.

Envoy's external authorization asks it about each request of a held route and keeps the request
itself, body and all, until it answers. How many may wait and who goes first is decided here; who
starts the replica is told by a callback, and that it can be reached is told by the gateway.
"""
