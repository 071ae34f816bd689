#!/usr/bin/env python
# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Start a module or a command of the keeper, wait for a sign of its middle, and cut the power.

Usage: cut.py INSTANCE SIGN -- MODULE JSON
       cut.py INSTANCE SIGN -- keeper WORD…

SIGN is path:<glob on the host> for something new there, gone:<glob> for something that was there, or container:<name>.
The power cut is SIGKILL for the operation and the first process of every container of the instance; as after a real
one, the engine starts those that shall run.
Prints what was killed; ends with 1 when the operation was over before its sign was seen, for then nothing was tested.
"""

from __future__ import annotations

import glob
import json
import os
import signal
import subprocess
import sys
import time

CHILD = """
import importlib, json, sys
from ansible.module_utils.testing import patch_module_args
module = importlib.import_module("ansible_collections.pgkeep.postgres.plugins.modules." + sys.argv[1])
with patch_module_args(json.loads(sys.argv[2])):
    module.main()
"""
LIMIT_SECONDS = 120


def docker(*argv: str) -> str:
    return subprocess.run(["docker", *argv], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


def seen(sign: str, before: set[str]) -> bool:
    kind, _colon, what = sign.partition(":")
    if kind == "container":
        return what in docker("ps", "--format", "{{.Names}}").split()
    now = set(glob.glob(what))
    return bool(now - before if kind == "path" else before - now)


def start(instance: str, operation: list[str]) -> subprocess.Popen[str]:
    if operation[0] == "keeper":
        argv = ["docker", "exec", "--user", "999:999", instance + "-keeper", *operation[1:]]
    else:
        argv = [sys.executable, "-c", CHILD, *operation]
    # A group of its own, to be killed as one.
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True)


def cut(instance: str, process: subprocess.Popen[str]) -> list[str]:
    containers = docker("ps", "--format", "{{.Names}}", "--filter", "label=pgkeep.instance=" + instance).split()
    pids = [json.loads(docker("inspect", name))[0]["State"]["Pid"] for name in containers]
    os.killpg(process.pid, signal.SIGKILL)
    for pid in pids:
        if pid:
            os.kill(pid, signal.SIGKILL)
    process.wait()
    return containers


def main() -> int:
    instance, sign, _dashes, *operation = sys.argv[1:]
    before = set(glob.glob(sign.partition(":")[2]))
    began = time.monotonic()
    process = start(instance, operation)
    while not seen(sign, before):
        if process.poll() is not None:
            print("ended with %d before the sign: %s" % (process.returncode, process.stdout and process.stdout.read()))
            return 1
        if time.monotonic() - began > LIMIT_SECONDS:
            os.killpg(process.pid, signal.SIGKILL)
            print("no sign within %d s" % LIMIT_SECONDS)
            return 1
        time.sleep(0.005)
    print("%.3f s: killed %s and %s" % (time.monotonic() - began, operation[0], ", ".join(cut(instance, process))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
