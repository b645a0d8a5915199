"""Models by name."""

from sampan.sdk.model_repository import MODEL_MOUNT_DIRS, ModelRepository

__all__ = ["ModelRepository", "MODEL_MOUNT_DIRS"]
