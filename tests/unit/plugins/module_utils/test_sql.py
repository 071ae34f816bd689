# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from pathlib import Path
from typing import Optional

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError
from ansible_collections.pgkeep.postgres.plugins.module_utils._sql import as_options, conninfo, guarded, query


def test_a_server_that_is_not_there_is_an_error_with_its_words(tmp_path: Path) -> None:
    with pytest.raises(PgkeepError, match="did not do what it was asked.*No such file or directory.*docker logs"):
        query(str(tmp_path), "select 1")


LOCK = "7\n/var/lib/postgresql/%s/data%s\n1795503915\n5432\n/var/run/postgresql\n\n    123  4\nready   \n"


@pytest.mark.parametrize(
    "text, major",
    [
        (LOCK % ("17", ""), 17),
        (LOCK % ("16", ""), 16),
        (LOCK % ("18", ".restore-20261121T225358Z"), 18),
        (LOCK.replace("/var/lib/postgresql", "/var/lib/pgkeep-scratch/drill/data") % ("17", ""), 17),
        ("7\n/elsewhere\n1795503915\n", 0),
        ("", 0),
        (None, 0),
    ],
)
def test_settings_that_a_server_does_not_know_are_kept_from_it(tmp_path: Path, text: Optional[str], major: int) -> None:
    if text is not None:
        (tmp_path / ".s.PGSQL.5432.lock").write_text(text)
    settings = guarded(str(tmp_path))
    assert settings["role"] == "none"
    assert settings["search_path"] == "pg_catalog"
    assert ("event_triggers" in settings, "transaction_timeout" in settings) == (major >= 17, major >= 17)


def test_values_with_spaces_in_options() -> None:
    assert as_options({"a": "read committed", "b": "0"}) == r"-c a=read\ committed -c b=0"


def test_a_connection_of_a_program_brings_them_too(tmp_path: Path) -> None:
    words = conninfo(str(tmp_path), r"host=evil o'clock \n")
    assert r"dbname='host=evil o\'clock \\n'" in words
    assert r"default_transaction_isolation=read\\ committed" in words
    assert "event_triggers" not in words
