# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The runbook as text; the integration target host runs its blocks."""

from __future__ import annotations

import re
import shlex

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils import _host_commands as commands
from ansible_collections.pgkeep.postgres.plugins.module_utils import _runbook as runbook
from ansible_collections.pgkeep.postgres.plugins.module_utils._declared import declare
from ansible_collections.pgkeep.postgres.plugins.module_utils._layout import Layout

from .instance_options import endpoints, options

SECTIONS = (
    "First look",
    "The server will not start",
    "The data are damaged",
    "The disk is full",
    "Restore now",
    "Restore to a moment",
    "Back up now",
    "A bad deploy",
    "Who to call",
)


def written(**more):
    return runbook.render(Layout("app"), options(**more), "127.0.0.1")


def blocks(text):
    return re.findall(r"```sh\n(.*?)```", text, re.DOTALL)


def test_every_section_is_there_and_can_be_reached():
    text = written()
    assert tuple(re.findall(r"^## (.*)$", text, re.MULTILINE)) == SECTIONS
    anchors = {"#" + title.lower().replace(" ", "-") for title in SECTIONS}
    assert set(re.findall(r"\]\((#[^)]*)\)", text)) == anchors
    assert "{" not in text


def test_every_command_has_a_line_that_says_what_it_prints_and_interrupts():
    text = written()
    for line in "".join(blocks(text)).splitlines():
        row = next(row for row in text.splitlines() if row.startswith("| `%s` |" % line.replace("|", "\\|")))
        assert all(cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1])


def test_every_command_is_one_of_ours_and_names_the_instance():
    for line in "".join(blocks(written())).splitlines():
        words = shlex.split(line)
        if words[0] == "pgkeep":
            assert words[1] == "list" or (words[1] == "app" and words[2] in commands.COMMANDS)
        else:
            assert words[0] == "ls" or words[0].startswith("MOMENT=")
    assert "pgkeep app restore --confirm app --time" in written()


def test_nothing_that_is_wal_or_backup_is_removed_by_hand():
    for block in blocks(written()):
        assert not re.search(r"\b(rm|truncate|unlink)\b|pg_wal|resetwal", block)


def test_contacts_are_called_in_their_order():
    contacts = [
        {"level": 2, "name": "Team | B", "how": "#db-help\nroom", "after_minutes": 15},
        {"level": None, "name": "Anna", "how": "+49 30 1", "after_minutes": None},
    ]
    rows = [row for row in written(keeper={"contacts": contacts}).splitlines() if "Anna" in row or "Team" in row]
    assert rows == ["| at once |  | Anna | +49 30 1 |", "| after 15 minutes | 2 | Team \\| B | #db-help room |"]
    assert "fill `postgres_backup_contacts`" in written()


@pytest.mark.parametrize("on_empty, words", [("restore", "is restored by the next start"), ("refuse", "is refused")])
def test_what_becomes_of_an_empty_volume(on_empty, words):
    assert words in written(on_empty=on_empty)


def test_it_is_a_file_of_the_instance_and_holds_no_secret():
    declared = declare(options(), "sha256:server", "sha256:keeper")
    (file,) = [file for file in declared.files if file.path == "/etc/pgkeep/app/RUNBOOK.md"]
    assert (file.mode, file.uid, file.gid, file.secret) == (0o644, 0, 0, False)
    assert not re.search("secret|KEY", file.content)


def test_who_asks_the_keeper_shows_its_token_to_nobody():
    text = written(keeper_http=endpoints())
    assert "curl -sS http://127.0.0.1:9432/ready" in text
    for path in ("ready", "status"):
        assert "`curl -sSK /etc/pgkeep/app/client/keeper.curl http://127.0.0.1:9432/%s`" % path in text
    assert "keeper-secret" not in text
    assert "curl" not in written()
