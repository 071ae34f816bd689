# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Installing the command pgkeep on a machine: the library as one file that Python runs. Private to the collection.

``<prefix>/lib/pgkeep/pgkeep.pyz`` is a zip archive with a first line for the kernel; ``<prefix>/bin/pgkeep`` links to
it. The same sources give the same bytes, so a second run changes nothing, and one rename brings a new version.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import pkgutil
import sys
import zipfile
import zipimport
from typing import Any, Mapping, Optional

from ._errors import PgkeepError
from ._files import read
from ._host import VERSION_FILE
from ._run import Run

# The package inside the archive.
_PACKAGE = "pgkeep"

# Only this one knows Ansible.
_LEFT_OUT = ("_module",)

# The oldest moment a zip archive can hold.
_EPOCH = (1980, 1, 1, 0, 0, 0)

_MAIN = "import sys\nfrom pgkeep._host import main\n\nsys.exit(main())\n"

# Debian's own Python outlives every virtual environment, if it has the driver.
_PREFERRED = "/usr/bin/python3"


def sources() -> dict[str, str]:
    """File name -> text of the library that this very run came with: out of Ansible's archive on a managed host, out of
    a folder in a checkout."""
    texts = {}
    folders = sys.modules[__package__ or ""].__path__
    for found in pkgutil.iter_modules(folders):
        finder = found.module_finder
        if isinstance(finder, zipimport.zipimporter):
            text = finder.get_source(found.name)
        else:
            # On the control node the finder is Ansible's own, which does not tell its folder.
            texts_there = (read("%s/%s.py" % (folder, found.name)) for folder in folders)
            text = next((each for each in texts_there if each is not None), None)
        if text is not None and found.name not in _LEFT_OUT:
            texts[found.name + ".py"] = text
    return texts


def archive(library: Mapping[str, str], python: str, version: str) -> bytes:
    """The file to install. -I: nothing of the caller's folder or environment is imported."""
    files = {
        "__main__.py": _MAIN,
        _PACKAGE + "/__init__.py": "",
        "%s/%s" % (_PACKAGE, VERSION_FILE): version + "\n",
        **{"%s/%s" % (_PACKAGE, name): text for name, text in library.items()},
    }
    buffer = io.BytesIO()
    buffer.write(("#!%s -I\n" % python).encode())
    with zipfile.ZipFile(buffer, "a", zipfile.ZIP_STORED) as packed:
        for name, text in sorted(files.items()):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.external_attr = 0o100644 << 16
            entry.create_system = 3
            packed.writestr(entry, text.encode())
    return buffer.getvalue()


def install(run: Run, params: Mapping[str, Any], check_mode: bool) -> dict[str, Any]:
    """Bring the command to this state; returns host_command, changed and diff for the module."""
    prefix = str(params["prefix"]).rstrip("/")
    path, command = prefix + "/lib/pgkeep/pgkeep.pyz", prefix + "/bin/pgkeep"
    content = archive(sources(), interpreter(run), params["version"])
    before, target = _read(path), _link(command)
    wanted = os.path.relpath(path, os.path.dirname(command))
    if target is None and os.path.lexists(command):
        raise PgkeepError(
            "The command pgkeep cannot be installed",
            "%s is there and is not ours: it is no link" % command,
            "move it away, or give another prefix",
        )
    rewrite = before != content or not os.access(path, os.X_OK)
    if not check_mode:
        if rewrite:
            _write(path, content)
        if target != wanted:
            _point(command, wanted)
    return {
        "changed": rewrite or target != wanted,
        "diff": {
            "before": _described(before),
            "after": _described(content),
            "before_header": path,
            "after_header": path,
        },
        "host_command": {
            "path": command,
            "library": path,
            "version": params["version"],
            "sha256": hashlib.sha256(content).hexdigest(),
            "size_bytes": len(content),
        },
    }


def is_current(found: str, version: str) -> bool:
    """Whether install() would change nothing, from what the probe of the role docker_host prints about the command: a
    JSON list of the Python that should run it, the checksum of its file and the names in it; anything else is a no.

    A run of install() brings the files that it imports and those that they import. The names found are that set as
    long as all their texts are the same: a further name begins with a changed text.
    """
    try:
        python, checksum, names = json.loads(found)
    except ValueError:
        return False
    library = sources()
    prefix = _PACKAGE + "/"
    there = {name[len(prefix) :] for name in names if name.startswith(prefix)}
    same = {name: text for name, text in library.items() if name in there}
    return bool(checksum == hashlib.sha256(archive(same, python, version)).hexdigest())


def interpreter(run: Run) -> str:
    """The Python that runs the command: Debian's, or else the one that runs the modules, which has what they need."""
    if os.access(_PREFERRED, os.X_OK) and run([_PREFERRED, "-I", "-c", "import psycopg2"]).rc == 0:
        return _PREFERRED
    return sys.executable


def _read(path: str) -> Optional[bytes]:
    try:
        with open(path, "rb") as handle:
            return handle.read()
    except (FileNotFoundError, NotADirectoryError):
        return None


def _link(path: str) -> Optional[str]:
    return os.readlink(path) if os.path.islink(path) else None


def _described(content: Optional[bytes]) -> str:
    return "" if content is None else "sha256 %s\n" % hashlib.sha256(content).hexdigest()


def _write(path: str, content: bytes) -> None:
    """Whole or not at all; who runs the old one goes on with it."""
    temporary = "%s.%d.new" % (path, os.getpid())
    try:
        os.makedirs(os.path.dirname(path), 0o755, exist_ok=True)
        with open(temporary, "wb") as handle:
            handle.write(content)
            handle.flush()
            os.fchmod(handle.fileno(), 0o755)
            os.fsync(handle.fileno())
        os.rename(temporary, path)
    except OSError as error:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise _unwritten(path, error) from error


def _point(command: str, target: str) -> None:
    temporary = "%s.%d.new" % (command, os.getpid())
    try:
        os.makedirs(os.path.dirname(command), 0o755, exist_ok=True)
        os.symlink(target, temporary)
        os.rename(temporary, command)
    except OSError as error:
        raise _unwritten(command, error) from error


def _unwritten(path: str, error: OSError) -> PgkeepError:
    return PgkeepError(
        "The command pgkeep cannot be installed",
        "%s: %s" % (path, error.strerror or error),
        "run as root, free space there; the old command is as it was",
    )
