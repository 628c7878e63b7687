"""Plain HTTP, for the tests of clients whose requests are known: nothing is added to what they send."""

import json
import os
import urllib.error
import urllib.parse
import urllib.request


class Rest:
    """The API as one caller with one user agent."""

    def __init__(self, token: str, agent: str):
        self.headers = {"Authorization": f"Bearer {token}", "User-Agent": agent, "Accept": "application/json"}

    def __call__(self, method: str, path: str, body=None, status: int = 200, **query):
        """What an operation answers, once the status is as expected."""
        url = f"{os.environ['BASE']}/api/v3/{path}"
        if query:
            url += f"?{urllib.parse.urlencode(query)}"
        headers, data = self.headers, None
        if body is not None:
            headers, data = headers | {"Content-Type": "application/json"}, json.dumps(body).encode()
        request = urllib.request.Request(url, data, headers, method=method)
        try:
            response = urllib.request.urlopen(request, timeout=30)
        except urllib.error.HTTPError as error:
            response = error
        with response:
            text = response.read().decode()
        assert response.status == status, f"{method} {url}: {response.status} {text}"
        return json.loads(text) if text else None
