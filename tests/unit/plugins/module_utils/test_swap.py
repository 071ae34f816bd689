# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import subprocess

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils import _swap as swapping
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError


@pytest.fixture
def directories(tmp_path, monkeypatch):
    monkeypatch.setattr(swapping, "UID", os.getuid())
    monkeypatch.setattr(swapping, "GID", os.getgid())
    made = swapping.Directories(str(tmp_path), 17, "20261121T201301.103451Z")
    os.makedirs(made.data + "/pg_wal")
    (tmp_path / "17/data/who").write_text("old")
    os.mkdir(made.beside)
    with open(made.beside + "/who", "w") as handle:
        handle.write("new")
    return made


def who(path):
    with open(path + "/who") as handle:
        return handle.read()


def test_the_paths_on_both_sides(directories):
    assert directories.inside_beside == "/var/lib/postgresql/17/data.restore-20261121T201301.103451Z"
    assert directories.beside == directories.root + "/17/data.restore-20261121T201301.103451Z"


def test_there_and_back(directories):
    kept = directories.swap()
    assert (who(directories.data), who(kept)) == ("new", "old")
    directories.swap_back(kept)
    assert (who(directories.data), who(directories.beside)) == ("old", "new")
    assert directories.named("previous") == []


def test_without_old_data(directories):
    directories.swap()
    directories.prune_previous(0)
    os.rename(directories.data, directories.beside)
    assert not directories.has_data()
    assert directories.swap() is None
    assert who(directories.data) == "new"


def test_an_empty_data_directory_is_no_data(directories):
    subprocess.run(["rm", "-r", directories.data], check=True)
    os.mkdir(directories.data)
    assert directories.swap() is None
    assert who(directories.data) == "new"


def test_nothing_to_put_in_place_leaves_the_old_data(directories):
    subprocess.run(["rm", "-r", directories.beside], check=True)
    with pytest.raises(PgkeepError, match="could not be exchanged"):
        directories.swap()
    assert who(directories.data) == "old"


def test_copies_go_and_nothing_else(directories):
    open(directories.beside + ".lock", "w").close()
    os.mkdir(directories.beside + ".partial")
    os.mkdir(directories.data + ".previous-20251121T201301.103451Z")
    open(directories.data + ".lock", "w").close()
    assert len(directories.remove_copies()) == 3
    assert sorted(os.listdir(directories.root + "/17")) == [
        "data",
        "data.lock",
        "data.previous-20251121T201301.103451Z",
    ]


@pytest.mark.parametrize("keep,left", [(0, []), (1, ["2025"]), (2, ["2024", "2025"]), (9, ["2024", "2025"])])
def test_the_oldest_previous_data_go_first(directories, keep, left):
    for year in ("2025", "2024"):
        os.mkdir("%s.previous-%s1121T201301.103451Z" % (directories.data, year))
    directories.prune_previous(keep)
    names = [path.split("previous-")[1][:4] for path in directories.named("previous")]
    assert names == left
    assert who(directories.data) == "old"


def test_the_undo_command_does_what_it_says(directories, tmp_path):
    kept = directories.swap()
    command = directories.undo_command("orders", kept, "echo undone > %s/note" % tmp_path)
    subprocess.run('docker() { echo "$*" >> %s/docker; }; %s' % (tmp_path, command), shell=True, check=True)
    assert (who(directories.data), (tmp_path / "note").read_text()) == ("old", "undone\n")
    assert who(directories.data + ".undone-" + directories.stamp) == "new"
    assert (tmp_path / "docker").read_text() == "stop orders\nstart orders\n"


def test_wal_is_laid_aside_without_a_copy(directories, tmp_path):
    names = ["000000010000000000000003", "000000010000000000000004"]
    for name in names:
        (tmp_path / "17/data/pg_wal" / name).write_text(name)
    inside = directories.lay_aside(names[1:])
    assert inside == directories.inside_beside + ".wal"
    assert os.listdir(directories.beside + ".wal") == names[1:]
    assert os.stat(directories.beside + ".wal/" + names[1]).st_nlink == 2
    directories.remove_copies()
    assert (tmp_path / "17/data/pg_wal" / names[1]).read_text() == names[1]


def test_no_wal_no_folder(directories):
    assert directories.lay_aside([]) is None
    assert not os.path.exists(directories.beside + ".wal")


def test_data_of_an_undo_are_data_that_were_replaced(directories):
    """Nobody else removes them."""
    for name in ("undone-20241121T201301.103451Z", "previous-20251121T201301.103451Z"):
        os.mkdir("%s.%s" % (directories.data, name))
    assert [os.path.basename(path) for path in directories.prune_previous(1)] == ["data.undone-20241121T201301.103451Z"]


def test_a_kill_between_the_two_renames_is_mended(directories):
    os.rename(directories.data, directories.previous)
    assert directories.finish_swap("restore") == directories.previous
    assert who(directories.data) == "old"


def test_data_in_place_and_the_data_of_another_restore_stay_where_they_are(directories):
    os.rename(directories.data, directories.data + ".previous-20251121T201301.103451Z")
    assert directories.finish_swap("restore") is None
    assert not os.path.exists(directories.data)
