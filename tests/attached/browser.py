"""Sessions as authentik keeps them, and browsers that have their cookies."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import pickle
import uuid
from dataclasses import dataclass, field

from client import Answer, Client
from lab import Database

SECRET_KEY = "a-secret-key-of-the-tests"
WITH_KEY = {"AUTHENTIK_SECRET_KEY": SECRET_KEY}
CSRF = "abcdefghijklmnopqrstuvwxyz012345"
# What authentik keeps of a login, about.
DATA = {"authentik/stages/user_login/method": "password", "goauthentik.io/user/known_device": True}
IMPERSONATING = DATA | {"authentik/impersonate/user": {"pk": 5}, "authentik/impersonate/original_user": {"pk": 3}}


def signed(claims: dict, secret_key: str = SECRET_KEY, algorithm: str = "HS256") -> str:
    """A JSON Web Token, signed as authentik signs sessions."""

    def part(content: bytes) -> str:
        return base64.urlsafe_b64encode(content).rstrip(b"=").decode()

    header = {"alg": algorithm, "typ": "JWT"}
    text = ".".join(part(json.dumps(value, separators=(",", ":")).encode()) for value in (header, claims))
    digest = {"HS256": "sha256", "HS512": "sha512"}.get(algorithm)
    if digest is None:
        return f"{text}."
    key = hashlib.sha512(secret_key.encode()).hexdigest().encode()
    return f"{text}.{part(hmac.digest(key, text.encode(), digest))}"


@dataclass
class Session:
    """A row of authentik's sessions; `user` has none where nobody has logged in."""

    user: int | None = 3  # akadmin
    data: dict = field(default_factory=lambda: DATA)
    expires: str = "now() + interval '14 days'"
    last_ip: str = "127.0.0.1"
    key: str = field(default_factory=lambda: uuid.uuid4().hex)

    def keep(self, database: Database) -> Session:
        """Insert it."""
        data = pickle.dumps(self.data, pickle.HIGHEST_PROTOCOL).hex()
        database.execute(f"""
            INSERT INTO authentik_core_session
              (session_key, expires, expiring, session_data, last_ip, last_user_agent, last_used)
            VALUES ('{self.key}', {self.expires}, TRUE, '\\x{data}', '{self.last_ip}', 'a browser', now());
            INSERT INTO authentik_core_authenticatedsession (session_id, uuid, user_id)
            SELECT '{self.key}', gen_random_uuid(), id FROM authentik_core_user WHERE id = {self.user or 0}""")
        return self

    @property
    def cookie(self) -> str:
        """The value of its cookie."""
        sub = hashlib.sha256(str(self.user).encode()).hexdigest() if self.user else "anonymous"
        own = {"sub": sub, "authenticated": self.user is not None}
        return signed({"sid": self.key, "iss": "authentik", **own, "acr": "goauthentik.io/core/default"})


class Browser(Client):
    """Somebody with a session's cookie, whose pages send what authentik's web interface does."""

    def __init__(self, base: str, cookie: str, source: str = "127.0.0.1") -> None:
        super().__init__(base, token="", source=source)
        self.cookie = cookie

    def send(self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None) -> Answer:
        own = {"Cookie": f"authentik_csrf={CSRF}; authentik_session={self.cookie}", "X-authentik-CSRF": CSRF}
        return super().send(method, path, body, own | (headers or {}))


def access_token(database: Database, token: str, user: int = 3, **columns: str) -> None:
    """Keep an access token of OAuth2. Its provider is of no interest."""
    values = {
        "expires": "now() + interval '1 hour'", "expiring": "TRUE", "revoked": "FALSE",
        "_scope": "'openid goauthentik.io/api'", "token": f"'{token}'", "_id_token": "'{}'", "provider_id": "1",
        "user_id": str(user), "auth_time": "now()",
    } | columns
    database.execute(f"""
        SET session_replication_role = replica;
        INSERT INTO authentik_providers_oauth2_accesstoken ({", ".join(values)}) VALUES ({", ".join(values.values())})""")
