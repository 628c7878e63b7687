"""Ask Django which rows its look-ups find, for `found.jsonl`.

    pip install 'Django==5.2.*' 'psycopg[binary]==3.*'
    PGHOST=… PGUSER=… PGDATABASE=… python ask_django.py < filters.jsonl > found.jsonl

A line of `filters.jsonl` is a value of `?attributes=`; a line of an earlier `found.jsonl` will do, too. authentik makes
one look-up of every key, all on the same column. The database should be UTF-8 and not of the locale C.
"""

import json
import os
import sys
from pathlib import Path

import django
from django.conf import settings

settings.configure(
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": os.environ.get("PGDATABASE", "postgres"),
            "USER": os.environ.get("PGUSER", "postgres"),
            "HOST": os.environ.get("PGHOST", ""),
            "PORT": os.environ.get("PGPORT", ""),
        }
    }
)
django.setup()

from django.db import connection, models  # noqa: E402


class Row(models.Model):
    """What has attributes."""

    name = models.TextField(primary_key=True)
    attributes = models.JSONField()

    class Meta:
        """Away from whatever else there is."""

        app_label = "asked"
        db_table = "asked_row"


def find(attributes):
    """The names of the rows, one letter each; None where Django raises."""
    lookups = {f"attributes__{key}": value for key, value in attributes.items()}
    try:
        return "".join(Row.objects.filter(**lookups).order_by("name").values_list("name", flat=True))
    except Exception as error:
        print(f"{attributes}: {error!r}", file=sys.stderr)
        return None


with connection.schema_editor() as editor:
    editor.create_model(Row)
try:
    rows = json.loads(Path(__file__).with_name("rows.json").read_text())
    Row.objects.bulk_create(Row(name=name, attributes=attributes) for name, attributes in rows.items())
    for line in sys.stdin:
        asked = json.loads(line)
        attributes = asked[0] if isinstance(asked, list) else asked
        print(json.dumps([attributes, find(attributes)], ensure_ascii=False))
finally:
    with connection.schema_editor() as editor:
        editor.delete_model(Row)
