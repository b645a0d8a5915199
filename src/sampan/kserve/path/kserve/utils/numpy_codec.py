"""V2 datatypes and NumPy's."""

from sampan.protocol.datatypes import from_np_dtype, to_np_dtype

__all__ = ["from_np_dtype", "to_np_dtype"]
