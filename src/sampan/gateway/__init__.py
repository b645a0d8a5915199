"""The front door: a route table as a value, Envoy configuration from it, and the Envoy process.

Which routes exist is decided in `sampan.plan`; which endpoints answer is known by a platform.
"""
