"""`ModelRepository` as KServe's users know it: models by name."""

from __future__ import annotations

from pathlib import Path

from sampan.server.model import Model

MODEL_MOUNT_DIRS = "/mnt/models"


class ModelRepository:
    """Models by name, to be filled before a server starts and looked into while it runs."""

    def __init__(self, models_dir: str = MODEL_MOUNT_DIRS) -> None:
        self.models: dict[str, Model] = {}
        self.models_dir = models_dir

    def load_models(self) -> None:
        """Load a model from each sub-folder of the folder."""
        for folder in sorted(Path(self.models_dir).iterdir()):
            if folder.is_dir():
                self.load_model(folder.name)

    def set_models_dir(self, models_dir: str) -> None:
        """Set the folder."""
        self.models_dir = models_dir

    def get_model(self, name: str) -> Model | None:
        """Return the model of a name, or None."""
        return self.models.get(name)

    def get_models(self) -> dict[str, Model]:
        """Return all models by name."""
        return self.models

    async def is_model_ready(self, name: str) -> bool:
        """Whether a model of this name answers."""
        model = self.get_model(name)
        return model is not None and model.ready

    def update(self, model: Model, name: str | None = None) -> None:
        """Register a model under its name or an alias."""
        self.models[name or model.name] = model

    def load(self, name: str) -> bool:
        """Load the model of a name; for a subclass to do."""
        return self.load_model(name)

    def load_model(self, name: str) -> bool:
        """Load the model of a sub-folder; for a subclass to do."""
        raise NotImplementedError(
            f'model "{name}" cannot be loaded: {type(self).__name__} has no load_model; write one'
        )

    def unload(self, name: str) -> None:
        """Stop and forget a model; KeyError where there is none."""
        if name not in self.models:
            raise KeyError(f"model with name {name} does not exist")
        self.models.pop(name).stop()
