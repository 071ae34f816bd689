# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The text of a libpq password file, and what stands in it."""

from __future__ import annotations

from ansible_collections.pgkeep.postgres.plugins.module_utils import _pgpass as pgpass

AWKWARD = pgpass.Entry("::1", "5432", "a:b", "u\\v", "p:\\q")


def test_what_separates_fields_is_escaped():
    entry = {"database": "a:b", "user": "u\\v", "password": "p:\\q"}
    assert pgpass.pgpass("127.0.0.1", [5432], [entry]) == "127.0.0.1:5432:a\\:b:u\\\\v:p\\:\\\\q\n"


def test_what_is_rendered_can_be_read_again():
    entries = [AWKWARD, pgpass.Entry("db", "1", "*", "pgkeep_monitor", "")]
    assert pgpass.parse(pgpass.render(entries)) == entries
