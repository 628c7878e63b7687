"""Requests, as the people of the dump send them."""

from __future__ import annotations

import http.client
import json
import urllib.parse
from dataclasses import dataclass

# The keys of the dump's tokens, by the names that the recordings have for them.
TOKENS = {
    name: f"peer-{name}-token-0123456789" for name in ("admin", "plain", "viewer", "expired", "inactive", "apppw")
}
ADMIN = TOKENS["admin"]


@dataclass
class Answer:
    """Status, body (parsed, if it is JSON) and headers."""

    status: int
    body: object
    headers: dict[str, str]


class Client:
    """Requests over one connection. Paths are below `prefix`."""

    prefix = "/api/v3"

    def __init__(self, base: str, token: str = ADMIN, source: str = "127.0.0.1") -> None:
        self.address, self.token, self.source = urllib.parse.urlsplit(base), token, source
        self.connection: http.client.HTTPConnection | None = None

    def send(self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None) -> Answer:
        """The answer; OSError where there is none."""
        if self.connection is None:
            self.connection = http.client.HTTPConnection(
                self.address.hostname, self.address.port, timeout=40, source_address=(self.source, 0)
            )
        own = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        content = None
        if body is not None:
            own["Content-Type"] = "application/json"
            content = json.dumps(body)
        try:
            self.connection.request(method, self.prefix + path, content, {**own, **(headers or {})})
            response = self.connection.getresponse()
            text = response.read().decode()
        except (http.client.HTTPException, OSError) as error:
            self.connection.close()
            self.connection = None
            raise OSError(f"{method} {path}: {error!r}") from error
        found = {name.lower(): value for name, value in response.getheaders()}
        is_json = text and found.get("content-type") == "application/json"
        return Answer(response.status, json.loads(text) if is_json else text, found)

    def get(self, path: str, **headers: str) -> Answer:
        """The answer to a GET."""
        return self.send("GET", path, headers=headers)

    def make(self, path: str, body: dict) -> dict:
        """The object that a POST makes."""
        answer = self.send("POST", path, body)
        if answer.status != 201:
            raise RuntimeError(f"POST {path}: {answer}")
        return answer.body
