# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import stat

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils import _files as files
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError


def own(path, content, **more):
    return files.File(str(path), content, uid=os.getuid(), gid=os.getgid(), **more)


def test_a_written_file_is_no_change_any_more(tmp_path):
    file = own(tmp_path / "a.conf", "x = 'ä'\n", mode=0o640)
    assert [change.reason for change in files.changes([file])] == ["new"]
    files.write(file)
    assert files.changes([file]) == []
    assert os.listdir(tmp_path) == ["a.conf"]
    assert stat.S_IMODE(os.stat(file.path).st_mode) == 0o640


def test_content_and_mode_are_told_apart(tmp_path):
    file = own(tmp_path / "a.conf", "new\n", mode=0o600)
    (tmp_path / "a.conf").write_text("old\n")
    assert files.changes([file])[0].reason == "content"
    files.write(file)
    os.chmod(file.path, 0o644)
    assert files.changes([file])[0].reason == "mode"


def test_a_failed_write_leaves_the_old_file_and_no_rest(tmp_path, monkeypatch):
    file = own(tmp_path / "a.conf", "new\n")
    (tmp_path / "a.conf").write_text("old\n")

    def full(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(PgkeepError, match="No space left on device.*the old file is untouched"):
        files.write(file)
    assert (tmp_path / "a.conf").read_text() == "old\n"
    assert os.listdir(tmp_path) == ["a.conf"]


def test_put_back_undoes_a_write_without_space_and_with_the_old_mode(tmp_path, monkeypatch):
    old, new = own(tmp_path / "old.conf", "after\n", mode=0o640), own(tmp_path / "new.conf", "after\n")
    (tmp_path / "old.conf").write_text("before\n")
    os.chmod(old.path, 0o604)
    for file in (old, new):
        files.keep(file.path)
        files.write(file)

    def full(*_arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "open", full)
    for file, existed in ((old, True), (new, False)):
        files.put_back(file.path, existed)
    assert (tmp_path / "old.conf").read_text() == "before\n"
    assert stat.S_IMODE(os.stat(old.path).st_mode) == 0o604
    assert os.listdir(tmp_path) == ["old.conf"]


def test_what_was_never_written_is_put_back_too(tmp_path):
    for name in ("kept", "untouched"):
        (tmp_path / name).write_text("before\n")
    files.keep(str(tmp_path / "kept"))
    for name in ("kept", "untouched"):
        files.put_back(str(tmp_path / name), True)
    assert sorted(os.listdir(tmp_path)) == ["kept", "untouched"]
    assert (tmp_path / "kept").read_text() == "before\n"


def test_what_is_kept_stays_the_first_state(tmp_path):
    """A run that goes on where another one was killed must not remember the half state."""
    file = own(tmp_path / "a.conf", "half\n")
    (tmp_path / "a.conf").write_text("before\n")
    files.keep(file.path)
    files.write(file)
    files.keep(file.path)
    files.put_back(file.path, True)
    assert (tmp_path / "a.conf").read_text() == "before\n"


def test_what_was_kept_is_forgotten_after_success(tmp_path):
    file = own(tmp_path / "a.conf", "after\n")
    (tmp_path / "a.conf").write_text("before\n")
    files.keep(file.path)
    files.write(file)
    files.forget(file.path)
    assert os.listdir(tmp_path) == ["a.conf"]
    assert (tmp_path / "a.conf").read_text() == "after\n"


def test_a_secret_never_reaches_the_diff(tmp_path):
    (tmp_path / "key").write_text("old-secret")
    change = files.changes([own(tmp_path / "key", "new-secret", secret=True)])[0]
    shown = "".join(change.diff().values())
    assert "secret" not in shown.replace(str(tmp_path), "")
    assert "hidden" in shown


def test_a_plain_diff_shows_both_sides(tmp_path):
    (tmp_path / "a.conf").write_text("old\n")
    diff = files.changes([own(tmp_path / "a.conf", "new\n")])[0].diff()
    assert (diff["before"], diff["after"]) == ("old\n", "new\n")
