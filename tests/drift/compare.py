"""What authentik's OpenAPI document promises and ours does not: compare.py OURS THEIRS

Whatever a client of authentik may send has to be allowed here, and whatever it counts on in an answer has to be there.
So in ours no operation, parameter, field or value may be missing, and no schema be narrower. That ours allows more is
fine. The four resources must be clean; for the operations around them the findings are information.

The keys of every body have to stand in authentik's order, which is that of its serializers; the tests in `tests/api`
hold our answers against the order in our document.
"""

import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import yaml

RESOURCES = (
    "/stages/email/",
    "/stages/user_write/",
    "/stages/invitation/stages/",
    "/stages/invitation/invitations/",
)

METHODS = ("get", "post", "put", "patch", "delete")

# What makes a schema narrower: keyword → whether our value allows less than theirs.
BOUNDS = {
    "minimum": lambda ours, theirs: theirs is None or ours > theirs,
    "minLength": lambda ours, theirs: theirs is None or ours > theirs,
    "maximum": lambda ours, theirs: theirs is None or ours < theirs,
    "maxLength": lambda ours, theirs: theirs is None or ours < theirs,
    "pattern": lambda ours, theirs: ours != theirs,
    "format": lambda ours, theirs: ours != theirs,
}

# A finding: where it is, and what is wrong there.
Findings = Iterator[tuple[str, str]]


class Document:
    def __init__(self, path: str) -> None:
        self.root = yaml.load(Path(path).read_text(), yaml.CSafeLoader)

    def operations(self) -> dict[str, dict]:
        return {
            f"{method.upper()} {path}": item[method]
            for path, item in self.root["paths"].items()
            for method in METHODS
            if method in item
        }

    def resolve(self, node: dict) -> dict:
        """The node that a reference means, together with what stands beside it."""
        parts = node.get("allOf", [])
        if len(parts) == 1:
            return self.resolve(parts[0]) | {key: value for key, value in node.items() if key != "allOf"}
        if "$ref" not in node:
            return node
        target = self.root
        for step in node["$ref"].removeprefix("#/").split("/"):
            target = target[step]
        return self.resolve(target)

    def parameters(self, operation: dict) -> dict[str, dict]:
        found = map(self.resolve, operation.get("parameters", []))
        return {f"{parameter['in']} parameter {parameter['name']}": parameter for parameter in found}

    def body(self, holder: dict) -> dict | None:
        """The JSON schema of a request or an answer."""
        content = self.resolve(holder).get("content", {})
        return content.get("application/json", {}).get("schema")

    def values(self, schema: dict) -> set:
        """The values of an enum; empty for any other schema."""
        options = [self.resolve(option) for option in schema.get("oneOf", [])]
        return set(schema.get("enum", [])).union(*(option.get("enum", []) for option in options))


class Comparison:
    def __init__(self, ours: Document, theirs: Document) -> None:
        self.ours = ours
        self.theirs = theirs

    def operation(self, ours: dict, theirs: dict) -> Findings:
        if ours["operationId"] != theirs["operationId"]:
            yield "operationId", f"is {ours['operationId']} instead of {theirs['operationId']}"
        if ours["security"] != theirs["security"]:
            yield "security", f"is {ours['security']} instead of {theirs['security']}"
        mine = self.ours.parameters(ours)
        for name, parameter in self.theirs.parameters(theirs).items():
            if name not in mine:
                yield name, "is missing"
                continue
            if mine[name].get("required") and not parameter.get("required"):
                yield name, "is required"
            yield from self.schema(name, mine[name]["schema"], parameter["schema"])
        yield from self.bodies("request", ours.get("requestBody"), theirs.get("requestBody"))
        for status, answer in theirs["responses"].items():
            # Errors have the same shape for all operations; their schemas name keys that authentik never sends.
            if status not in ours["responses"]:
                yield f"answer {status}", "is missing"
            elif status.startswith("2"):
                yield from self.bodies(f"answer {status}", ours["responses"][status], answer)

    def bodies(self, where: str, ours: dict | None, theirs: dict | None) -> Findings:
        if theirs is None or (schema := self.theirs.body(theirs)) is None:
            return
        mine = self.ours.body(ours) if ours else None
        if mine is None:
            yield where, "has no body"
        else:
            yield from self.schema(where, mine, schema)

    def schema(self, where: str, ours: dict, theirs: dict) -> Findings:
        ours, theirs = self.ours.resolve(ours), self.theirs.resolve(theirs)
        if ours.get("type") != theirs.get("type") and not self.ours.values(ours):
            yield where, f"is of type {ours.get('type')} instead of {theirs.get('type')}"
        if theirs.get("nullable") and not ours.get("nullable"):
            yield where, "may not be null"
        for keyword, allows_less in BOUNDS.items():
            if keyword in ours and allows_less(ours[keyword], theirs.get(keyword)):
                yield where, f"has {keyword} {ours[keyword]} instead of {theirs.get(keyword)}"
        for value in sorted(self.theirs.values(theirs) - self.ours.values(ours), key=str):
            yield where, f"lacks the value {value}"
        if "items" in theirs and "items" in ours:
            yield from self.schema(f"{where}[]", ours["items"], theirs["items"])
        yield from self.fields(where, ours, theirs)

    def fields(self, where: str, ours: dict, theirs: dict) -> Findings:
        inside = partial("{}.{}".format, where)
        mine = ours.get("properties", {})
        for name, schema in theirs.get("properties", {}).items():
            if name not in mine:
                yield inside(name), "is missing"
            else:
                yield from self.schema(inside(name), mine[name], schema)
        # In a request required means more to send, in an answer it means more to count on: both have to agree.
        required, wanted = set(ours.get("required", [])), set(theirs.get("required", []))
        yield from ((inside(name), "is required") for name in sorted(required - wanted))
        yield from ((inside(name), "is not required") for name in sorted((wanted - required) & mine.keys()))

    def bodies_in_order(self, ours: dict, theirs: dict) -> Findings:
        """Where keys stand in another order. A key that only one document has may stand anywhere."""
        pairs = [("request", ours.get("requestBody"), theirs.get("requestBody"))]
        pairs += [(f"answer {status}", ours["responses"].get(status), theirs["responses"][status])
                  for status in theirs["responses"] if status.startswith("2")]
        for where, mine, known in pairs:
            if mine and known and (mine := self.ours.body(mine)) and (known := self.theirs.body(known)):
                yield from self.order(where, mine, known)

    def order(self, where: str, ours: dict, theirs: dict) -> Findings:
        ours, theirs = self.ours.resolve(ours), self.theirs.resolve(theirs)
        mine, known = ours.get("properties", {}), theirs.get("properties", {})
        wanted = [name for name in known if name in mine]
        if [name for name in mine if name in known] != wanted:
            yield where, f"has its keys in another order than {', '.join(wanted)}"
        for name in wanted:
            yield from self.order(f"{where}.{name}", mine[name], known[name])
        if "items" in ours and "items" in theirs:
            yield from self.order(f"{where}[]", ours["items"], theirs["items"])


def main(ours_path: str, theirs_path: str) -> int:
    ours, theirs = Document(ours_path), Document(theirs_path)
    comparison = Comparison(ours, theirs)
    mine = ours.operations()
    findings, notes, compared = [], [], 0
    for name, operation in sorted(theirs.operations().items()):
        strict = name.split()[1].startswith(RESOURCES)
        place = findings if strict else notes
        if name in mine:
            compared += strict
            place += [
                f"{name}: {where} {what}" for where, what in comparison.operation(mine[name], operation)
            ]
            order = comparison.bodies_in_order(mine[name], operation)
            findings += [f"{name}: {where} {what}" for where, what in order]
        else:
            place.append(f"{name}: is missing")
    for heading, lines in (("Information", notes), ("Findings", findings)):
        print(f"{heading}: {len(lines)}", *lines, sep="\n  ")
    print(f"Operations of the four resources compared: {compared}")
    return 1 if findings or not compared else 0


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
