"""What an InferenceGraph means: how a request goes through its nodes, as pure decisions.

A node's way is a generator that asks for calls and is told their outcomes; whoever runs it makes
the calls. No I/O, no clock, no dice: those are arguments.
"""
