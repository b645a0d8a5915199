"""What object stores have in common: list, choose, download what is missing, keep it.

A store (`sampan.storage.s3`, `gcs`, `azure`) says how it is asked and what its answers mean
(`store.Store`); everything else is here, once.
"""
