# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""pg_upgrade in a container that has both servers: the new image, and of the old one what lies below /usr.

The old programs run with the old image's own C library and loader. So they behave as they did in production, whatever
Debian the new image is made of, and no third image has to be built. Private to the collection.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Sequence

from . import _docker as docker
from ._container import ContainerSpec, create_argv
from ._errors import PgkeepError
from ._layout import DATA_MOUNT, LABEL_INSTANCE, LABEL_ROLE, Layout
from ._run import Result, Run

ROLE = "upgrade"

# Files of the new directory: the old ones under a second name, others that share their blocks (XFS, Btrfs), or copies.
WAYS = ("link", "clone", "copy")

_OLD = "/old"

# Runs in the old image as root, with an empty volume over /usr, into which the engine copies what the image has there.
# Each program is replaced by a word to the old loader. It finds its libraries and its share folder by the path that it
# believes to be at, hence --argv0.
_OUTFIT = r"""
bin=/usr/lib/postgresql/$1/bin
[[ -x $bin/postgres ]] || { echo "the image has no $bin/postgres" >&2; exit 1; }
for loader in /usr/lib/ld-linux-*.so.* /usr/lib64/ld-linux-*.so.* /usr/lib/*/ld-linux-*.so.*; do
  [[ ! -e $loader ]] || break
done
loader=$(readlink -f "$loader")
mv "$bin" "$bin.real"
mkdir "$bin"
for program in "$bin.real"/*; do
  wrapper=$bin/${program##*/}
  printf '#!/bin/sh\nexec %s%s --argv0 "$0" --library-path %s%s %s%s "$@"\n' \
    "$2" "$loader" "$2" "${loader%/*}" "$2" "$program" > "$wrapper"
  chmod 755 "$wrapper"
done
"""

# A new directory that pg_upgrade takes: what cannot be changed later has to be as in the old one.
_INITDB = r"""
old=$1 new=$2 bin=$3
shift 3
control=$(LC_ALL=C "$bin/pg_controldata" "$old")
args=()
[[ $control =~ "Data page checksum version:"[[:space:]]+([0-9]+) ]]
if [[ ${BASH_REMATCH[1]} != 0 ]]; then
  args+=(--data-checksums)
elif [[ $PG_MAJOR -ge 18 ]]; then
  args+=(--no-data-checksums)
fi
[[ $control =~ "Bytes per WAL segment:"[[:space:]]+([0-9]+) ]]
args+=("--wal-segsize=$((BASH_REMATCH[1] / 1048576))")
# pg_upgrade brings all of it to disk at its end.
args+=(--auth-local=peer --auth-host=scram-sha-256 --encoding=UTF8 --no-instructions --no-sync)
exec initdb -D "$new" -U postgres "${args[@]}" "$@"
"""

# pg_upgrade writes what it found into files, which are gone with the container.
_UPGRADE = r"""
old=$1 new=$2
shift 2
exec 9>> "$old.lock"
flock --wait 3 9 || { echo "fatal: another container holds $old.lock"; exit 1; }
cd /tmp
status=0
pg_upgrade --old-datadir="$old" --new-datadir="$new" "$@" || status=$?
[[ $status != 0 ]] || exit 0
shopt -s globstar nullglob
for file in "$new"/pg_upgrade_output.d/**/*.txt; do
  printf 'pgkeep-file %s: ' "${file##*/}"
  head -n 5 "$file" | tr -s '\n\t ' ' '
  echo
done
for file in "$new"/pg_upgrade_output.d/**/log/*.log; do
  grep --no-filename --extended-regexp 'ERROR:|FATAL:|PANIC:' "$file" | tail -n 2 | sed 's/^/pgkeep-log /' || true
done
exit "$status"
"""

_WENT_WELL = re.compile(r" (ok|warning|notice|skipped)$")
# Before it stands advice about the old data, which is ours to follow.
_TRANSFER = re.compile(r"(Linking|Cloning|Copying) user relation files")
_PATH = re.compile(r"pg_upgrade_output\.d|in the file:$")
# Lines: a refusal is a paragraph, an error of a program that it runs can be a log.
_SAID = 12


@dataclass(frozen=True)
class Upgrader:
    """One upgrade of data on one volume. new is the spec of the new server; data the volume or host path of DATA_MOUNT;
    preload the libraries that the old server loads at its start, because functions of some cannot be made without."""

    run: Run
    layout: Layout
    new: ContainerSpec
    data: str
    before: int
    preload: str = ""

    @property
    def container(self) -> str:
        return "%s-%s" % (self.layout.name, ROLE)

    @property
    def volume(self) -> str:
        """Holds /usr of the old image while it is needed."""
        return self.container + "-old"

    @property
    def _bin(self) -> str:
        return "%s/usr/lib/postgresql/%d/bin" % (_OLD, self.before)

    def fetch_old(self, image: str) -> None:
        """Take the old programs out of image. Raises PgkeepError where it has none."""
        docker.create_volume(self.run, self.volume, self.layout.name, ROLE)
        argv = [
            "run", "--rm", "--name", self.container, "--network", "none", "--user", "0:0", "--cap-drop", "ALL",
            "--label", "%s=%s" % (LABEL_INSTANCE, self.layout.name), "--label", "%s=%s" % (LABEL_ROLE, ROLE),
            "--volume", self.volume + ":/usr", "--entrypoint", "/bin/bash",
            image, "-euc", _OUTFIT, "outfit", str(self.before), _OLD,
        ]  # fmt: skip
        docker.docker(self.run, argv, what="The programs of PostgreSQL %d cannot be taken from its image" % self.before)

    def initialise(self, old: str, new: str, initdb_args: Sequence[str]) -> None:
        """Make the empty directory new (path in the container) that fits the data in old, which may be in use."""
        done = self._in_container(_INITDB, [old, new, self._bin, *initdb_args])
        if done.rc != 0:
            lines = [line for line in done.stderr.splitlines() if line.strip()]
            raise PgkeepError(
                "The new data directory of %s cannot be made" % self.layout.name,
                (lines or ["initdb ended with %d" % done.rc])[-1],
                "correct what it names, then repeat; the old data are untouched",
            )

    def upgrade(self, old: str, new: str, way: str) -> None:
        """Run pg_upgrade, its checks first. Raises PgkeepError with its own words."""
        options = "-c shared_preload_libraries='%s'" % self.preload if self.preload else ""
        argv = [
            old, new, "--old-bindir=" + self._bin, "--username=postgres", "--socketdir=/tmp",
            "--jobs=%d" % max(int(self.new.cpus), 1), "--" + way,
            *(["--old-options=" + options, "--new-options=" + options] if options else []),
        ]  # fmt: skip
        done = self._in_container(_UPGRADE, argv)
        if done.rc != 0:
            raise PgkeepError(
                "pg_upgrade of %s from %d refuses" % (self.layout.name, self.before),
                refusal(done.stdout + done.stderr),
                "correct what it names in the databases of the old server, then repeat",
            )

    def clear(self) -> None:
        """Remove what an upgrade needs besides its data."""
        docker.remove(self.run, self.container)
        if docker.volume(self.run, self.volume) is not None:
            docker.remove_volume(self.run, self.volume)

    def _in_container(self, script: str, argv: Sequence[str]) -> Result:
        spec = replace(
            self.new,
            name=self.container,
            role=ROLE,
            command=("bash", "-euc", script, "upgrade", *argv),
            environment={},
            mounts=("%s:%s" % (self.data, DATA_MOUNT), "%s:%s/usr:ro" % (self.volume, _OLD)),
            network="none",
            ports=(),
            restart="no",
            health=None,
        )
        docker.remove(self.run, spec.name)
        try:
            return docker.attempt(self.run, create_argv(spec, "run"))
        finally:
            docker.remove(self.run, spec.name)


def refusal(output: str) -> str:
    """What pg_upgrade gives as its reason: all that follows the last step that went well, then the files it wrote.

    ``Checking for incompatible "aclitem" data type   fatal`` and the paragraph behind it.
    """
    lines = [" ".join(line.split()) for line in output.splitlines()]
    said = [line for line in lines if line and not line.startswith(("pgkeep-", "Failure, exiting"))]
    begins = max(
        (number + 1 if _WENT_WELL.search(line) else number)
        for number, line in enumerate(["", *said])
        if not number or _WENT_WELL.search(line) or _TRANSFER.match(line)
    )
    # Paths in a container that is gone help nobody: their content stands behind.
    words = [line for line in ["", *said][begins:] if line and not _PATH.search(line)]
    files = [line.split(" ", 1)[1] for line in lines if line.startswith("pgkeep-file ")]
    errors = [line.split(" ", 1)[1] for line in lines if line.startswith("pgkeep-log ")]
    return "; ".join([" ".join(words[:_SAID]) or "no message", *files, *(errors if not files else [])])
