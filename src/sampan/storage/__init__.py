"""Fetching model artefacts: one file a scheme, one cache, safe archives.

Knows URIs and folders only. Which URI a service needs is decided in `sampan.plan`.
"""
