"""A plain API as a model of the server.

Each has a name of its own, so that metrics tell them apart and a slow one does not keep a quick
one from the loop.
"""

from __future__ import annotations

import asyncio
import json
from functools import partial
from typing import Any, NamedTuple

from sampan.protocol.errors import InvalidInput
from sampan.runtimes.bentoml.errors import ServiceFailed, TookTooLong, blame
from sampan.runtimes.bentoml.service import Service
from sampan.runtimes.bentoml.signature import Arguments, Input, Output
from sampan.server.model import Headers, Model
from sampan.wire.message import Response


class Elsewhere(NamedTuple):
    """A value that BentoML itself must write: a file, a picture, a response of its own."""

    value: Any


class ApiModel(Model):
    """A plain API whose function is sync: on a thread, or on the loop while it is quick."""

    platform = "bentoml"
    quick = True

    def __init__(self, name: str, service: Service, api: Any) -> None:
        super().__init__(name)
        self.service = service
        self.api = api
        self._input = Input(api.input_spec)
        self._output = Output(api.output_spec, service.headers)
        self._function: Any = None

    def load(self) -> bool:
        """Take the function of the service's object, which is there by now."""
        self._function = getattr(self.service.instance, self.api.name).local
        self.ready = True
        return self.ready

    def stop(self) -> None:
        """Let the function go."""
        super().stop()
        self._function = None

    def decode(self, body: bytes) -> Arguments:
        """Return the arguments that a body holds; ServiceFailed tells what is wrong with it."""
        try:
            return self._input.read(body)
        except json.JSONDecodeError as error:  # 500 there, and the caller's mistake all the same
            text = f"the body is no JSON ({error}); send JSON"
            raise ServiceFailed(400, {"error": text}) from None
        except Exception as error:
            raise blame(error) from error

    def encode(self, value: Any, headers: Headers) -> Response | Elsewhere:
        """Return the answer; ServiceFailed where the value is not what was declared."""
        del headers
        try:
            return self._output.write(value) or Elsewhere(value)
        except Exception as error:
            raise blame(error) from error

    @property
    def takes_one(self) -> bool:
        """Whether a lone value says all that the function needs."""
        return self._input.takes_one

    def take(self, value: Any) -> Arguments:
        """Return the arguments that a lone value stands for; pydantic's ValidationError."""
        return self._input.take(value)

    def give(self, value: Any) -> Any:
        """Return what the function gave as JSON has it; ServiceFailed where it has no such form."""
        try:
            return self._output.give(value)
        except Exception as error:
            raise blame(error) from error

    def validate(self, payload: Any) -> Any:
        """Take it as it is: it was validated as it was read."""
        return payload

    def predict(self, payload: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Call the function, when it is its turn."""
        del args, kwargs
        call = partial(self._function, *_taken(payload).positional, **payload.named)
        try:
            return self.service.turns.run(call)
        except Exception as error:
            raise blame(error) from error


class AwaitedApiModel(ApiModel):
    """A plain API that is awaited: a coroutine on the loop, or a batch of BentoML's."""

    async def predict(self, payload: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Await the function, at most as long as the service allows."""
        del args, kwargs
        seconds = self.service.timeout
        given = _taken(payload)
        try:
            async with asyncio.timeout(seconds):
                if self.api.batchable:
                    batched = self.service.factory.batch_infer
                    return await batched(self.api.name, given.positional, dict(given.named))
                return await self._function(*given.positional, **given.named)
        except TimeoutError as error:
            raise TookTooLong(seconds) from error
        except Exception as error:
            raise blame(error) from error


def _taken(payload: Any) -> Arguments:
    """Return what a route handed over; V1 and V2 reach a service's own name only."""
    if not isinstance(payload, Arguments):
        raise InvalidInput("an API of BentoML is asked at its own route, not by V1 or V2")
    return payload
