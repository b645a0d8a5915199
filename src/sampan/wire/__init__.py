"""Bytes in, requests out: HTTP as asyncio protocols with limits, knowing no model.

What a path means is decided by the application a protocol is given (`sampan.server`).
"""
