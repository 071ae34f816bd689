# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pipes of real programs: who failed, what passed, and that nobody runs on."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils._dump_pipe import flow, nothing, within
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError

MANY = ["head", "--bytes=3000000", "/dev/zero"]


def shell(text: str) -> list[str]:
    return ["sh", "-c", text]


def failure(*commands: list[str], seconds: float = 20, **options: Any) -> PgkeepError:
    with pytest.raises(PgkeepError) as caught:
        flow("It was not done", commands, nothing, within(seconds), **options)
    assert caught.value.what == "It was not done"
    return caught.value


def test_everything_passes_in_order(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(os.urandom(3_000_000))
    got: list[bytes] = []
    flow("x", [["cat"], ["cat"]], got.append, within(20), source=str(source))
    assert b"".join(got) == source.read_bytes()


def test_the_first_is_the_cause() -> None:
    error = failure(shell("echo first >&2; exit 3"), shell("cat; echo second >&2; exit 4"))
    assert error.why == "sh ended with exit code 3; first"


def test_who_only_lost_its_reader_is_not_the_cause() -> None:
    assert failure(MANY, shell("echo no key >&2; exit 1")).why == "sh ended with exit code 1; no key"


def test_who_complains_about_its_reader_is_not_the_cause() -> None:
    assert failure(shell("echo Broken pipe >&2; exit 1"), shell("echo syntax >&2; exit 3")).why.endswith("; syntax")


def test_a_killed_program() -> None:
    assert failure(shell("kill -9 $$"), ["cat"]).why == "sh was killed by signal 9"


def test_a_program_that_is_not_there() -> None:
    assert failure(["nonexistent-program"]).why.startswith("nonexistent-program: ")
    assert failure(MANY, ["nonexistent-program"]).why.startswith("nonexistent-program: ")


def test_the_last_may_know_enough() -> None:
    flow("x", [MANY, ["head", "--bytes=1"]], nothing, within(20), partly=True)
    assert "killed by signal 13" in failure(MANY, ["head", "--bytes=1"]).why
    assert failure(MANY, shell("exit 5"), partly=True).why == "sh ended with exit code 5"


def test_the_deadline_ends_all_of_them() -> None:
    began = time.monotonic()
    error = failure(["sleep", "20"], ["cat"], seconds=0.3)
    assert time.monotonic() - began < 5
    assert error.why == "it was not ready after 0 s"
    assert "deadline_seconds" in error.next_step


def test_an_error_of_the_reader_ends_all_of_them(tmp_path: Path) -> None:
    def full(_chunk: bytes) -> None:
        raise OSError(28, "No space left on device")

    began = time.monotonic()
    note = tmp_path / "pid"
    with pytest.raises(OSError, match="No space"):
        flow("x", [shell("echo $$ > %s; echo; exec sleep 20" % note)], full, within(20))
    assert time.monotonic() - began < 5
    with pytest.raises(ProcessLookupError):
        os.kill(int(note.read_text()), 0)


def test_only_the_last_lines_are_told() -> None:
    assert failure(shell("seq 1 100 >&2; exit 1")).why == "sh ended with exit code 1; 98; 99; 100"
