"""Runs the checks of ak-stages on the database of an authentik; tests/attached/run starts it."""

import os
import signal
import sys
import time
import traceback
from pathlib import Path

import connection
import console
import contract
import deletion
import interface
import load
import mail
import many
import privileges
import releases
import roles
import routing
import sessions
import traces
import user_settings
from lab import laboratory
from report import Report

SECTIONS = [
    contract.start_up,
    contract.recordings,
    contract.order,
    traces.events_and_plans,
    traces.unusual_urls,
    traces.users,
    traces.settings,
    traces.initial_permissions,
    user_settings.default_installation,
    user_settings.other_stages,
    deletion.foreign_stage_and_branded_flow,
    deletion.in_use,
    connection.one,
    privileges.least,
    privileges.one_missing,
    mail.extensions,
    many.bulk,
    many.uses,
    roles.life,
    roles.all_models,
    releases.supported,
    releases.unknown_version,
    releases.unsound_schemas,
    load.pgbouncer,
    load.replicas,
    sessions.credentials,
    sessions.forgeries,
    sessions.tls,
    sessions.bound,
    sessions.traces,
    sessions.unreadable,
    routing.forwarded,
    routing.proxies,
    interface.sequences,
    console.walk,
]


def main(shared: str, *names: str) -> int:
    """Run all sections, or those that are named."""
    # SIGTERM ends this as Ctrl-C does: with everything stopped.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))
    sections = [section for section in SECTIONS if not names or section.__name__ in names]
    report, began = Report(), time.monotonic()
    with laboratory(Path(shared), os.environ["AK_STAGES_BIN"], Path(os.environ["PG_BIN"])) as lab:
        for section in sections:
            print(section.__doc__, flush=True)
            start, before = time.monotonic(), report.passed + report.failed
            try:
                section(lab, report)
            except Exception:
                report.check("it goes to its end", False, traceback.format_exc())
            if report.passed + report.failed == before:
                report.check("it checks something", False)
            lab.drop_copies()
            print(f"  {time.monotonic() - start:.1f} s", flush=True)
    print(f"{time.monotonic() - began:.0f} s")
    print(f"{report.passed} passed, {report.failed} failed")
    return 1 if report.failed or not sections else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
