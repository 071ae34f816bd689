#!/usr/bin/env python
# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Start a module or a command of the keeper, wait for a sign of its middle, and kill.

Usage: cut.py WHAT INSTANCE SIGN -- MODULE JSON
       cut.py WHAT INSTANCE SIGN -- keeper WORD…

WHAT is everything for a power cut: SIGKILL for the operation and the first process of every container of the instance;
as after a real one, the engine starts those that shall run. operation is SIGKILL for it alone, server is docker kill of
the server's container alone, and the words and the end of the operation are then ours.
SIGN is path:<glob on the host> for something new there, gone:<glob> for something that was there, container:<name> for
one that runs, or made:<name> for one that is there.
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
    if kind in ("container", "made"):
        return what in docker("ps", *(["--all"] if kind == "made" else []), "--format", "{{.Names}}").split()
    now = set(glob.glob(what))
    return bool(now - before if kind == "path" else before - now)


def start(instance: str, operation: list[str]) -> subprocess.Popen[str]:
    if operation[0] == "keeper":
        argv = ["docker", "exec", "--user", "999:999", instance + "-keeper", *operation[1:]]
    else:
        argv = [sys.executable, "-c", CHILD, *operation]
    # A group of its own, to be killed as one.
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True)


def cut(instance: str, process: subprocess.Popen[str], containers: list[str]) -> list[str]:
    pids = [json.loads(docker("inspect", name))[0]["State"]["Pid"] for name in containers]
    os.killpg(process.pid, signal.SIGKILL)
    for pid in pids:
        if pid:
            os.kill(pid, signal.SIGKILL)
    process.wait()
    return containers


def kill_server(instance: str, process: subprocess.Popen[str]) -> int:
    """The server that runs is killed as soon as there is one; returns how the operation ended."""
    while subprocess.run(["docker", "kill", instance], capture_output=True, check=False).returncode != 0:
        time.sleep(0.005)
    print(process.communicate()[0])
    return process.returncode


def main() -> int:
    what, instance, sign, _dashes, *operation = sys.argv[1:]
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
    if what == "server":
        return kill_server(instance, process)
    running = ["ps", "--format", "{{.Names}}", "--filter", "label=pgkeep.instance=" + instance]
    killed = cut(instance, process, docker(*running).split() if what == "everything" else [])
    print("%.3f s: killed %s" % (time.monotonic() - began, ", ".join([operation[0], *killed])))
    return 0


if __name__ == "__main__":
    sys.exit(main())
