"""A service as one model of the server: its life, its health, and what V1 can ask of it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from sampan.protocol.errors import InvalidInput
from sampan.runtimes.bentoml.errors import blame
from sampan.runtimes.bentoml.model import ApiModel, AwaitedApiModel
from sampan.runtimes.bentoml.service import Service
from sampan.runtimes.bentoml.signature import Arguments
from sampan.server.load_failure import LoadFailure
from sampan.server.model import Model


class BentoModel(Model):
    """The service: loaded when its object is made. `lone` is the API that V1 means, if any."""

    platform = "bentoml"

    def __init__(self, name: str, service: Service, lone: ApiModel | None = None) -> None:
        super().__init__(name)
        self.service = service
        self._lone = lone

    def load(self) -> bool:
        """Make the service's object and start it; LoadFailure tells what it raised."""
        try:
            self.service.start()
        except (Exception, SystemExit) as error:
            raise LoadFailure(
                "ModelLoadFailed",
                f'service "{self.service.name}" raised {type(error).__name__}: {error} when it was '
                "made; mend its __init__, or what it loads",
            ) from error
        self.ready = True
        return self.ready

    def predict(self, payload: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Answer V1 by the one API: the instances are its argument. Runs on a thread."""
        del args, kwargs
        if self._lone is None or not isinstance(payload, dict) or "instances" not in payload:
            raise InvalidInput(self._where_to_ask())
        try:
            arguments = self._lone.take(payload["instances"])
        except Exception as error:
            raise blame(error) from error
        return {"predictions": self._lone.give(self._ask(self._lone, arguments))}

    def _ask(self, api: ApiModel, arguments: Arguments) -> Any:
        if not isinstance(api, AwaitedApiModel):
            return api.predict(arguments)
        assert self.service.loop is not None  # noqa: S101  # loaded, so the loop is there
        asked = asyncio.run_coroutine_threadsafe(api.predict(arguments), self.service.loop)
        return asked.result()

    def _where_to_ask(self) -> str:
        routes = ", ".join(f"POST {api.route}" for api in self.service.declared.apis.values())
        way = 'send {"instances": [...]}, or ask' if self._lone else "ask"
        return (
            f'"{self.name}" is a service of BentoML, which has an API of its own; {way} '
            f"{routes or 'its mounted application'}"
        )


class WatchedBentoModel(BentoModel):
    """A service that has an `__is_ready__` of its own."""

    async def healthy(self) -> bool:
        """Return what the service says of itself."""
        asked = self.service.instance.__is_ready__
        if asyncio.iscoroutinefunction(asked):
            return bool(await asked())
        return bool(await asyncio.to_thread(asked))


def select_lone(declared: Any, apis: Sequence[ApiModel]) -> ApiModel | None:
    """Return the API that V1 can mean: the only one, plain, and of one argument."""
    if len(declared.apis) != 1 or len(apis) != 1 or not apis[0].takes_one:
        return None
    return apis[0]
