# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command as one file: the same bytes every time, whole or not there, and it runs."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml
from ansible_collections.pgkeep.postgres.plugins.module_utils import _host_command as installing
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError
from ansible_collections.pgkeep.postgres.plugins.module_utils._run import Result

LIBRARY = Path(__file__).parents[4] / "plugins/module_utils"

PROGRAM = """
from ansible_collections.pgkeep.postgres.plugins.module_utils._host_command import sources
found = sources()
assert all(found.values())
print(*sorted(found))
"""


def no_driver(argv, **_rest):
    return Result(1)


def install(prefix, check=False, version="9.8.7"):
    return installing.install(no_driver, {"prefix": str(prefix), "version": version}, check)


def test_the_whole_library_but_what_needs_ansible():
    names = {path.name for path in LIBRARY.glob("_*.py")} - {"_module.py"}
    found = installing.sources()
    assert set(found) == names
    assert found["_errors.py"] == (LIBRARY / "_errors.py").read_text()


def test_out_of_an_archive_as_ansible_makes_it(tmp_path):
    """A program that runs from its own archive, as modules do, finds the same texts there."""
    package = "ansible_collections/pgkeep/postgres/plugins/module_utils"
    path = tmp_path / "payload.zip"
    with zipfile.ZipFile(path, "w") as payload:
        payload.writestr("__main__.py", PROGRAM)
        parts = package.split("/")
        for depth in range(1, len(parts) + 1):
            payload.writestr("/".join(parts[:depth]) + "/__init__.py", "")
        for name, text in installing.sources().items():
            payload.writestr("%s/%s" % (package, name), text)
    done = subprocess.run([sys.executable, "-I", str(path)], capture_output=True, text=True, check=True)
    assert done.stdout.split() == sorted(installing.sources())


def probed(prefix):
    """What the role's probe says of the command below prefix."""
    text = yaml.safe_load((LIBRARY.parents[1] / "roles/docker_host/vars/main.yml").read_text())["__docker_host_probe"]
    # Nothing else of this machine matters here.
    text = text.replace("/usr/local/", "%s/" % prefix).replace("/usr/bin/python3", "/bin/false")
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    return [*done.stdout.split("\n"), ""][1]


def test_the_probe_sees_whether_the_module_would_change_anything(tmp_path):
    assert not installing.is_current(probed(tmp_path), "9.8.7")
    library = Path(install(tmp_path)["host_command"]["library"])
    assert installing.is_current(probed(tmp_path), "9.8.7")
    assert not installing.is_current(probed(tmp_path), "9.8.8")

    library.chmod(0o644)
    assert not installing.is_current(probed(tmp_path), "9.8.7")
    library.chmod(0o755)
    (tmp_path / "bin/pgkeep").unlink()
    assert not installing.is_current(probed(tmp_path), "9.8.7")
    install(tmp_path)
    assert installing.is_current(probed(tmp_path), "9.8.7")

    content = library.read_bytes()
    at = content.index(b"There is no instance")
    library.write_bytes(content[:at] + b"D" + content[at + 1 :])
    assert not installing.is_current(probed(tmp_path), "9.8.7")
    library.write_bytes(b"no archive at all")
    assert not installing.is_current(probed(tmp_path), "9.8.7")


def test_the_probe_tells_a_library_that_became_another_one(tmp_path, monkeypatch):
    """As the module on a managed host, with a part of the files; then one of them imports a further one."""
    texts = installing.sources()
    part = {name: texts[name] for name in ("_errors.py", "_host.py", "_layout.py")}
    monkeypatch.setattr(installing, "sources", lambda: part)
    install(tmp_path)
    monkeypatch.setattr(installing, "sources", lambda: texts)
    assert installing.is_current(probed(tmp_path), "9.8.7")
    changed = {**texts, "_host.py": texts["_host.py"] + "\nfrom . import _times\n"}
    monkeypatch.setattr(installing, "sources", lambda: changed)
    assert not installing.is_current(probed(tmp_path), "9.8.7")


def test_on_the_control_node_where_the_collection_is_imported_by_ansible(tmp_path):
    program = (
        "from ansible.plugins.loader import init_plugin_loader\n"
        "init_plugin_loader([%r])\n" % str(LIBRARY.parents[1] / "collections") + PROGRAM
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == sorted(installing.sources())


def test_check_mode_tells_and_touches_nothing(tmp_path):
    planned = install(tmp_path, check=True)
    assert planned["changed"] is True
    assert list(tmp_path.iterdir()) == []
    assert planned["host_command"] == install(tmp_path)["host_command"]


def test_a_second_run_changes_nothing_and_a_new_version_does(tmp_path):
    assert install(tmp_path)["changed"] is True
    file = tmp_path / "lib/pgkeep/pgkeep.pyz"
    before = file.stat()
    again = install(tmp_path)
    assert again["changed"] is False
    assert again["diff"]["before"] == again["diff"]["after"]
    assert file.stat().st_mtime_ns == before.st_mtime_ns
    assert install(tmp_path, version="9.8.8")["changed"] is True
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["bin", "lib", "pgkeep", "pgkeep", "pgkeep.pyz"]


@pytest.mark.parametrize("damage", ["content", "mode", "link"])
def test_what_was_changed_by_hand_is_put_right(tmp_path, damage):
    install(tmp_path)
    file, link = tmp_path / "lib/pgkeep/pgkeep.pyz", tmp_path / "bin/pgkeep"
    if damage == "content":
        file.write_bytes(file.read_bytes()[:1000])
    elif damage == "mode":
        file.chmod(0o644)
    else:
        link.unlink()
        link.symlink_to("/nowhere")
    assert install(tmp_path)["changed"] is True
    assert os.readlink(link) == "../lib/pgkeep/pgkeep.pyz"
    assert zipfile.is_zipfile(file)
    assert os.access(file, os.X_OK)


def test_it_runs_without_anything_of_the_caller(tmp_path):
    install(tmp_path)
    (tmp_path / "pgkeep.py").write_text("raise SystemExit('this is not ours')")
    argv = [str(tmp_path / "bin/pgkeep"), "--version"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(argv, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "pgkeep 9.8.7\n", "")


def test_what_is_not_ours_stays(tmp_path):
    stranger = tmp_path / "bin/pgkeep"
    stranger.parent.mkdir()
    stranger.write_text("not ours")
    with pytest.raises(PgkeepError, match="is not ours"):
        install(tmp_path)
    assert stranger.read_text() == "not ours"
    assert not (tmp_path / "lib").exists()


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "lib").write_text("a file")
    with pytest.raises(PgkeepError, match=r"lib/pgkeep/pgkeep.pyz: Not a directory"):
        install(tmp_path)


@pytest.mark.parametrize("rc, wanted", [(0, "/usr/bin/python3"), (1, sys.executable)])
def test_debians_python_is_preferred_where_it_has_the_driver(monkeypatch, rc, wanted):
    monkeypatch.setattr(os, "access", lambda path, mode: True)
    assert installing.interpreter(lambda argv, **_rest: Result(rc)) == wanted
