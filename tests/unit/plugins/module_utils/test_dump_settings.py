# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the inventory may say about dumps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils import _dump_settings as settings
from ansible_collections.pgkeep.postgres.plugins.module_utils._backup_repository import Keeper
from ansible_collections.pgkeep.postgres.plugins.module_utils._dump_settings import Settings, parse
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError
from ansible_collections.pgkeep.postgres.plugins.module_utils._run import run


def keeper(tmp_path: Path, topic: Any, passphrase: str = "") -> Keeper:
    (tmp_path / "keeper.json").write_text(json.dumps({"dumps": topic}))
    if passphrase:
        (tmp_path / "dumps.passphrase").write_text(passphrase)
    return Keeper("orders", run, "/data", config=str(tmp_path))


def test_what_is_not_said_has_a_default() -> None:
    assert parse("orders", {}) == Settings((), 7, 2, True, 21600)
    assert parse("orders", {"databases": ["a"], "keep_days": 0.5}) == Settings(("a",), 0.5, 2, True, 21600)


@pytest.mark.parametrize(
    "values, why",
    [
        ({"keep": 3, "days": 1}, "it does not know days, keep"),
        ({"databases": "app"}, "databases is not a list of names"),
        ({"databases": [""]}, "databases is not a list of names"),
        ({"databases": [1]}, "databases is not a list of names"),
        ({"keep_days": -1}, "keep_days is -1 and not a number from 0 on"),
        ({"keep_days": "7"}, "keep_days is '7' and not a number"),
        ({"keep_min": 0}, "keep_min is 0 and not a number from 1 on"),
        ({"keep_min": True}, "keep_min is True"),
        ({"deadline_seconds": 0}, "deadline_seconds is 0"),
        ({"encrypt": "no"}, "encrypt is neither true nor false"),
    ],
)
def test_what_cannot_be_used(values: dict[str, Any], why: str) -> None:
    with pytest.raises(PgkeepError) as caught:
        parse("orders", values)
    assert why in caught.value.why
    assert "postgres_backup_dumps" in caught.value.next_step


def test_nothing_is_encrypted_with_a_guessable_passphrase(tmp_path: Path) -> None:
    with pytest.raises(PgkeepError, match=r"dumps\.passphrase is not there"):
        settings.check(keeper(tmp_path, {"keep_days": 1}))
    with pytest.raises(PgkeepError, match="less than 20 characters"):
        settings.check(keeper(tmp_path, {"keep_days": 1}, "\nlong enough but only in the second line"))
    settings.check(keeper(tmp_path, {"keep_days": 1}, "x" * 20))


def test_no_passphrase_is_needed_where_none_is_used(tmp_path: Path) -> None:
    settings.check(keeper(tmp_path, {"encrypt": False}))
    settings.check(keeper(tmp_path, {}))


def test_the_passphrase_is_in_no_argument(tmp_path: Path) -> None:
    words = settings.encryption(keeper(tmp_path, {}, "a-very-secret-passphrase"), decrypt=True)
    assert words[:3] == ["openssl", "enc", "-d"]
    assert words[-1] == "file:%s/dumps.passphrase" % tmp_path
    assert "a-very-secret-passphrase" not in " ".join(words)
