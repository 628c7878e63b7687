"""Evaluates the dashboard's queries and the alerts of docs/monitoring: evaluate.py PROMETHEUS

A Prometheus, whose program that is, fetches the metrics of the running server that tests/with-server started. Each query has
to give something, each alert has to be evaluated, and none of them may be about a server that is well."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

MONITORING = Path(__file__).resolve().parents[2] / "docs" / "monitoring"
# How long Prometheus may take to have seen enough.
PATIENCE = 60
# What Grafana would put in the place of its variables.
VARIABLES = {"$job": "ak-stages", "$instance": ".*", "$__rate_interval": "10s"}
# What is shown of standbys alone, and the server has none. tests/replicas has some, and alerts.test.yml makes them up.
OF_STANDBYS = re.compile(r"ak_stages_(replica|reads)_")


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def ask_server(path: str, key: str, body: dict | None = None) -> int:
    """The status of an answer of the server."""
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{os.environ['BASE']}/api/v3{path}", data, headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def use_server(turn: int) -> None:
    """Some of each: reads, a write, an error, wrong credentials."""
    token = os.environ["TOKEN"]
    for _ in range(5):
        assert ask_server("/stages/email/", token) == 200
    assert ask_server("/stages/invitation/invitations/", token, {"name": f"invitation-{turn}"}) == 201
    assert ask_server("/stages/email/", token, {}) == 400
    assert ask_server("/stages/email/", "a-wrong-key") == 403


def expressions() -> dict[str, str]:
    """Every query of the dashboard, by panel and legend."""
    dashboard = json.loads((MONITORING / "dashboard.json").read_text())
    found = {}
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            query = target["expr"]
            for variable, value in VARIABLES.items():
                query = query.replace(variable, value)
            found[f"{panel['title']}: {target['legendFormat']}"] = query
    return found


class Prometheus:
    """A Prometheus that fetches the server's metrics every second."""

    def __init__(self, program: str, files: Path) -> None:
        config = (MONITORING / "prometheus.yml").read_text()
        for old, new in {"127.0.0.1:9300": os.environ["METRICS"], "alerts.yml": str(MONITORING / "alerts.yml")}.items():
            assert old in config, f"prometheus.yml doesn't name {old}"
            config = config.replace(old, new)
        often = "global: {scrape_interval: 1s, evaluation_interval: 1s}\n"
        (files / "prometheus.yml").write_text(often + config)
        self.base = f"http://127.0.0.1:{free_port()}"
        with (files / "log").open("w") as log:
            self.process = subprocess.Popen(
                [program, f"--config.file={files}/prometheus.yml", f"--storage.tsdb.path={files}/data",
                 f"--web.listen-address={self.base.removeprefix('http://')}"],
                stdout=log, stderr=subprocess.STDOUT,
            )

    def get(self, path: str, **parameters: str) -> dict:
        """What its API answers."""
        with urllib.request.urlopen(f"{self.base}/api/v1/{path}?{urllib.parse.urlencode(parameters)}", timeout=30) as answer:
            return json.load(answer)["data"]

    def query(self, expression: str) -> list:
        """What an expression gives now."""
        return self.get("query", query=expression)["result"]

    def has_seen_enough(self) -> bool:
        """Whether rates can be told."""
        try:
            return bool(self.query("rate(ak_stages_http_request_duration_seconds_count[10s]) > 0"))
        except OSError:
            return False


def main(program: str) -> None:
    """Evaluate all, and end with what is wrong."""
    with tempfile.TemporaryDirectory() as files:
        prometheus = Prometheus(program, Path(files))
        try:
            wrong = judge(prometheus)
        finally:
            prometheus.process.terminate()
            prometheus.process.wait()
    if wrong:
        sys.exit("\n".join(wrong))


def judge(prometheus: Prometheus) -> list[str]:
    """What is wrong."""
    began, turn = time.monotonic(), 0
    while not prometheus.has_seen_enough() or turn < 5:
        assert time.monotonic() - began < PATIENCE, "Prometheus doesn't see the server"
        use_server(turn)
        turn += 1
        time.sleep(1)
    queries, wrong = expressions(), []
    for name, query in queries.items():
        if not prometheus.query(query) and not OF_STANDBYS.search(query):
            wrong.append(f"{name}: nothing comes of {query}")
    rules = [rule for group in prometheus.get("rules")["groups"] for rule in group["rules"]]
    for rule in rules:
        if rule["health"] != "ok":
            wrong.append(f"{rule['name']}: {rule['health']} {rule.get('lastError', '')}")
        elif rule["alerts"]:
            wrong.append(f"{rule['name']}: an alert about a server that is well")
    for name in sorted({name for rule in rules for name in re.findall(r"\b(?:ak_stages|process)_\w+", rule["query"])}):
        if not prometheus.query(name) and not OF_STANDBYS.match(name):
            wrong.append(f"an alert reads {name}, which the server doesn't show")
    print(f"{len(queries)} queries and {len(rules)} alerts evaluated, {len(wrong)} wrong")
    return wrong


if __name__ == "__main__":
    main(sys.argv[1])
