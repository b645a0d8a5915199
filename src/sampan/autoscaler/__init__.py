"""How many replicas a revision should have: pure functions of counters and `now`.

Nothing here reads a clock, a file or a socket. Whoever holds the counters hands them to a `Meter`
once a second and asks `decide` every two; the answer says how many and which numbers made it so.
"""
