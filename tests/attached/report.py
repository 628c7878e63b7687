"""Counts and prints the checks."""

import difflib


class Report:
    """What was checked."""

    def __init__(self) -> None:
        self.passed = self.failed = 0

    def check(self, name: str, good: object, detail: object = "") -> None:
        """Note a check; `detail` is printed where it failed."""
        self.passed += bool(good)
        self.failed += not good
        print(f"  {'ok   ' if good else 'FAIL '} {name}", flush=True)
        if not good:
            for line in str(detail).splitlines()[:20]:
                print(f"        {line[:400]}", flush=True)

    def same(self, name: str, found: object, expected: object) -> None:
        """Note that two things are the same; where they aren't, print how they differ."""
        difference = ()
        if found != expected:
            difference = difflib.unified_diff(lines(expected), lines(found), "expected", "found", lineterm="", n=0)
        self.check(name, found == expected, "\n".join(difference))

    def skip(self, name: str, reason: str) -> None:
        """Say what could not be checked."""
        print(f"  NOT CHECKED: {name}: {reason}", flush=True)


def lines(value: object) -> list[str]:
    """A value as text, one line an item."""
    if isinstance(value, dict):
        return [f"{key}: {item}" for key, item in sorted(value.items())]
    return [str(item) for item in value] if isinstance(value, list) else [str(value)]
