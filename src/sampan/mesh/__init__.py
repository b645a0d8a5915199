"""Many models in few processes: what both columns agree on, as pure values.

What belongs here: the documents by which the control plane tells a process its models and the
process tells how they are, and the arithmetic of what stays in memory. No I/O, no clock, no model:
files are the platform's and the runtime's, loading is the server's.
"""
