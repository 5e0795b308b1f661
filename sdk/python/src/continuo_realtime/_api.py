"""One signed call of the HTTP API, blocking, by the standard library."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

from .errors import ContinuoError
from .transport import retry_after_ms

MAX_BODY = 64 << 20


@dataclass(frozen=True, slots=True)
class Credentials:
    url: str
    app: str
    key: str
    secret: str = field(repr=False)
    timeout: float


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a call; status 0: nothing, and the outcome is not known."""

    status: int
    body: dict[str, Any]
    message: str = ""
    retry_after_ms: int = 0

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    @property
    def again(self) -> bool:
        """Whether the same call may go better the next time."""
        return self.status in (0, 429) or self.status >= 500

    def error(self) -> ContinuoError:
        unknown = "outcome_unknown" if self.status == 0 or self.status >= 500 else f"http_{self.status}"
        code, version = self.body.get("code"), self.body.get("current_version")
        text = self.body.get("error")
        return ContinuoError(
            code if isinstance(code, str) else unknown,
            text if isinstance(text, str) else self.message,
            self.again,
            version if type(version) is int else None,
            self.status or None,
        )


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """A signature holds for one path: a redirect is an error."""


_opener = urllib.request.build_opener(_NoRedirects)


def call(credentials: Credentials, method: str, path: str, query: dict[str, str], body: bytes | None) -> Answer:
    """Calls; `path` is below the app, percent-encoded."""
    target = f"/apps/{quote(credentials.app, safe='')}{path}"
    query = query | {"auth_key": credentials.key, "auth_timestamp": str(int(time.time())), "auth_version": "1.0"}
    if body:
        query["body_md5"] = hashlib.md5(body, usedforsecurity=False).hexdigest()
    text = "&".join(f"{name.lower()}={value}" for name, value in sorted(query.items()))
    signed = f"{method}\n{target}\n{text}".encode()
    query["auth_signature"] = hmac.new(credentials.secret.encode(), signed, hashlib.sha256).hexdigest()
    headers = {"Accept": "application/json"} | ({"Content-Type": "application/json"} if body else {})
    request = urllib.request.Request(
        f"{credentials.url}{target}?{urlencode(query)}", data=body, method=method, headers=headers
    )
    try:
        with _opener.open(request, timeout=credentials.timeout) as response:
            return _understood(response.status, response.read(MAX_BODY))
    except urllib.error.HTTPError as refusal:
        with refusal:
            try:
                answer = _understood(refusal.code, refusal.read(MAX_BODY))
            except (OSError, http.client.HTTPException) as error:
                answer = Answer(refusal.code, {}, str(error))
        after = retry_after_ms(refusal.headers.get("Retry-After"))
        return Answer(answer.status, answer.body, answer.message, after)
    except (OSError, http.client.HTTPException) as error:
        return Answer(0, {}, f"no answer: {error}")


def _understood(status: int, text: bytes) -> Answer:
    try:
        body = json.loads(text)
        if isinstance(body, dict):
            return Answer(status, body)
    except (ValueError, RecursionError):
        pass
    if 200 <= status < 300:
        # Something that is not the server has answered: nothing is known.
        return Answer(0, {}, f"HTTP {status} with something that is no JSON object: {text[:80]!r}")
    return Answer(status, {}, f"HTTP {status}: {text[:80]!r}")
