# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Types what docs/alerts.md says to look at, for the instance in argv: all SQL, and what only reads.

Prints how many of each were done; ends with the words of the first that fails.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs/alerts.md"
# What stands in the labels of an alert, or in what was looked at before.
VALUES = {"<queryid>": "1", "<pid>": "0", "<name>": "fsync", "<table>": "pg_class"}
# Those that act, that need a terminal or another machine, or that ask the whole engine and take seconds for it.
OTHERS = re.compile("stats|system|start|docker ps|--tail|pgkeep-monitoring|--confirm|end$|backup( |$)|drill$|psql")


def main(instance: str) -> None:
    page = PAGE.read_text()
    for placeholder, value in {**VALUES, "<instance>": instance}.items():
        page = page.replace(placeholder, value)
    queries, calls = [], []
    for span in dict.fromkeys(re.findall(r"`([^`\n]+)`", page)):
        # What is left is for a slot or a file system that is not there.
        if re.match("(select|vacuum|alter) ", span) and "<" not in span:
            queries.append(span)
        elif re.match("(pgkeep|docker|curl) ", span) and "<" not in span and not OTHERS.search(span):
            calls.append(span)
    script = "".join(query + ";\n" for query in queries)
    argv = ["docker", "exec", "--interactive", instance, "psql", "--no-psqlrc", "--set", "ON_ERROR_STOP=1"]
    done = subprocess.run(argv, input=script, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode == 0, done.stdout
    for call in calls:
        # The page pipes what it shows into grep, so this is for a shell.
        done = subprocess.run(
            ["bash", "-c", call], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        # 1 is also what grep says that finds nothing, and with 2 the monitor says that all is bad.
        right = done.returncode in (0, 1, 2) and not re.search("^error:", done.stdout, re.MULTILINE)
        assert right, "%s\n%s" % (call, done.stdout)
    print("%d queries, %d commands" % (len(queries), len(calls)))


if __name__ == "__main__":
    main(sys.argv[1])
