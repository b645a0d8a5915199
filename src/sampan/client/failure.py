"""What a client raises: an answer that is a refusal, or no answer at all."""

from __future__ import annotations

from typing import Any

import orjson

from sampan.client.calls import Answer


class RequestFailed(Exception):
    """The server answered with an error. `status` is HTTP's, `error` the server's own words."""

    def __init__(self, answer: Answer, url: str) -> None:
        self.status = answer.status
        self.error = error_text(answer.body)
        self.url = url
        super().__init__(f"{self.error or 'no reason given'} (status {self.status} from {url})")


class NoAnswer(Exception):
    """The server could not be reached, or gave no answer in time. `sent`: it got the request."""

    def __init__(self, url: str, why: str, *, sent: bool) -> None:
        self.url = url
        self.sent = sent
        mend = "raise the timeout or see its log" if sent else "check the URL and that it runs"
        super().__init__(f"{url} gave no answer ({why}); {mend}")


def error_text(body: bytes) -> str:
    """Return the words of an error body: KServe's `error`, FastAPI's `detail`, else the text."""
    try:
        value: Any = orjson.loads(body)
    except orjson.JSONDecodeError:
        return body.decode(errors="replace").strip()
    if not isinstance(value, dict):
        return body.decode(errors="replace")
    found = value.get("error", value.get("detail", value))
    if isinstance(found, dict) and "message" in found:  # OpenAI's form
        found = found["message"]
    return found if isinstance(found, str) else orjson.dumps(found).decode()
