"""The console, as it is on authentik's database."""

import os
import re
import subprocess
from pathlib import Path

from client import ADMIN
from lab import Lab
from report import Report

ROOT = Path(__file__).parent.parent.parent
WALK = ROOT / "tests/browser/attached.test.mjs"
OUTCOME = re.compile(r"^(not )?ok \d+ - (.*)$", re.MULTILINE)


def walk(lab: Lab, report: Report) -> None:
    """The console, walked through in Chromium"""
    with lab.serve(lab.fresh(), AUTHENTIK_STAGES__CONSOLE="true") as server:
        place = {"BASE": server.base, "TOKEN": ADMIN, "OUTPUT": str(ROOT / "target/browser")}
        done = subprocess.run(["node", "--test", WALK], env=os.environ | place, capture_output=True, text=True)
    for failed, name in OUTCOME.findall(done.stdout):
        report.check(name, not failed, done.stdout)
    report.same("it goes to its end", done.returncode, 0)
