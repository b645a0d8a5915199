"""ModelMesh's multi-model server: many models of several formats in one process.

What belongs here: following the register that a platform writes, and making a model of an entry.
What stays in memory is `sampan.server.mesh_repository`'s.
"""
