# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Running a command: the type that the whole library takes, and the real one. Private to the collection."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from typing import Callable, Mapping, Optional, Sequence

from ._errors import PgkeepError


@dataclass(frozen=True)
class Result:
    """What a command left behind. stdout and stderr are text; bytes that are not UTF-8 are replaced."""

    rc: int
    stdout: str = ""
    stderr: str = ""


# run(argv, data=None, env=None, timeout=None): data goes to stdin, env is added to the
# environment, timeout is in seconds and ends in PgkeepError.
Run = Callable[..., Result]


def run(
    argv: Sequence[str],
    data: Optional[str] = None,
    env: Optional[Mapping[str, str]] = None,
    timeout: Optional[float] = None,
) -> Result:
    """Run argv without a shell and wait for it. Raises PgkeepError when it cannot start or takes too long."""
    try:
        done = subprocess.run(
            list(argv),
            input=None if data is None else data.encode(),
            stdin=subprocess.DEVNULL if data is None else None,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **(env or {})},
            timeout=timeout,
            check=False,
        )
    except OSError as error:
        raise PgkeepError(
            "The command %s could not be started" % argv[0],
            "it is not installed or not in PATH" if isinstance(error, FileNotFoundError) else str(error),
            "install it; the role docker_host does so for the Docker client",
        ) from error
    except subprocess.TimeoutExpired:
        raise PgkeepError(
            "The command %s did not end" % argv[0],
            "it was still running after %s s" % timeout,
            "look at the load of the machine and at the engine's log, then repeat",
        ) from None
    return Result(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))
