# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command monitor without its screen: lines, JSON, exit codes, what its keys start, and the table of a fleet."""

from __future__ import annotations

import argparse
import io
import json
import subprocess
import sys
import time
from importlib import metadata

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils import _host, _monitor, _monitor_jobs
from ansible_collections.pgkeep.postgres.plugins.module_utils import _host_commands as commands
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError
from ansible_collections.pgkeep.postgres.plugins.module_utils._layout import Layout
from ansible_collections.pgkeep.postgres.plugins.module_utils._monitor_fleet import fleet, row

from .monitor_case import seen


@pytest.fixture
def found(tmp_path, monkeypatch):
    return seen(tmp_path, monkeypatch)


def options(**changes):
    return argparse.Namespace(**{"once": True, "json": False, "plain": False, "interval": 5.0, **changes})


def test_lines_without_anything_that_moves_a_cursor(found):
    out = io.StringIO()
    assert _monitor.lines(lambda: found, options(), out, None) == "warning"
    lines = out.getvalue().splitlines()
    assert lines[0].startswith(" ▲ WARNING   app  production")
    assert [line for line in lines if line[0] not in " "] == [
        "Checks", "Load", "Longest transactions", "Storage", "Backup", "Partners", "Events",
    ]  # fmt: skip
    assert all(line.isprintable() and len(line) <= 100 for line in lines)


def test_json_is_one_object_a_line_until_somebody_has_seen_enough(found):
    out, waits = io.StringIO(), []

    def wait(seconds):
        waits.append(seconds)
        if len(waits) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _monitor.lines(lambda: found, options(once=False, json=True, interval=7.0), out, wait)
    objects = [json.loads(line) for line in out.getvalue().splitlines()]
    assert objects == [found, found]
    assert all(6 < seconds <= 7 for seconds in waits)


def test_json_moves_no_terminal(found):
    out = io.StringIO()
    hostile = {**found, "reasons": ["\x1b[2J \x7f \x9b2J \u202e ä 日本"]}
    _monitor.lines(lambda: hostile, options(json=True), out, None)
    assert [character for character in out.getvalue()[:-1] if not " " <= character <= "~"] == []
    assert json.loads(out.getvalue()) == hostile


@pytest.mark.parametrize("status, code", [("healthy", 0), ("warning", 1), ("critical", 2)])
def test_the_exit_code_is_the_verdict(tmp_path, monkeypatch, capsys, found, status, code):
    (tmp_path / "etc/app/server").mkdir(parents=True)
    monkeypatch.setattr(commands, "CONFIG", str(tmp_path / "etc"))
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(_monitor, "observe", lambda *_words: {**found, "status": status})
    assert _host.main(["app", "monitor", "--once"]) == code
    assert capsys.readouterr().out.split()[1] == status.upper()
    assert _host.main(["app", "monitor", "--once", "--json"]) == code
    assert json.loads(capsys.readouterr().out)["status"] == status


@pytest.mark.parametrize("words", [["--interval", "0"], ["--interval", "nan"], ["--interval", "fast"], ["--wide"]])
def test_wrong_options(tmp_path, monkeypatch, capsys, words):
    (tmp_path / "app/server").mkdir(parents=True)
    monkeypatch.setattr(commands, "CONFIG", str(tmp_path))
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert _host.main(["app", "monitor", *words]) == 2


@pytest.mark.parametrize("version, words", [(None, "is missing"), ("0.1.13", "too old, version 0"), ("2.1.2", "")])
def test_what_to_install_for_the_screen(monkeypatch, tmp_path, version, words):
    def told(_name):
        if version is None:
            raise metadata.PackageNotFoundError
        return version

    monkeypatch.setattr(metadata, "version", told)
    monkeypatch.setattr(sys, "path", list(sys.path))
    venv = tmp_path / "lib/python3.99/site-packages"
    venv.mkdir(parents=True)
    if words:
        with pytest.raises(PgkeepError, match=words) as raised:
            _monitor.require_textual(str(tmp_path))
        assert "add --plain" in raised.value.next_step
    else:
        _monitor.require_textual(str(tmp_path))
    assert sys.path[0] == str(venv)


def finished(job):
    deadline = time.monotonic() + 60
    while (told := job.done()) is None:
        assert time.monotonic() < deadline
    return told


def test_the_keys_start_the_command_itself(monkeypatch):
    started = []

    def start(argv, out, err):
        started.append(argv[-4:])
        bad = "restart" in argv
        code = "import sys; print('label x'); print('error: no', file=sys.stderr); sys.exit(%d)" % bad
        return subprocess.Popen([sys.executable, "-c", code], stdout=out, stderr=err)

    context = argparse.Namespace(layout=Layout("app"))
    work = _monitor_jobs.Work(context, start)
    assert finished(work.backup()) == (0, "label x")
    assert finished(work.restart()) == (1, "error: no")
    assert [argv[-2:] for argv in started] == [["app", "backup"], ["--confirm", "app"]]

    def absent(argv, out, err):
        raise FileNotFoundError("no such file")

    with pytest.raises(PgkeepError, match="The backup could not be started"):
        _monitor_jobs.Work(context, absent).backup()


@pytest.mark.parametrize("there", [True, False])
def test_a_session_that_is_ended_is_in_the_audit_trail(monkeypatch, tmp_path, there):
    monkeypatch.setattr(Layout, "home", property(lambda self: str(tmp_path)))
    (tmp_path / "state").mkdir()
    monkeypatch.setattr("os.fchown", lambda *_words: None)
    asked = []

    def query(socket_dir, statement, values=None):
        asked.append(values)
        return [(True,)] if there else []

    monkeypatch.setattr(_monitor_jobs.sql, "query", query)
    work = _monitor_jobs.Work(argparse.Namespace(layout=Layout("app"), who="host:anna"))
    session = {"pid": 7, "user": "shop", "database": "shop", "application": "web", "began": "2026-11-24 10:00:00+00"}
    if there:
        work.terminate(session)
    else:
        with pytest.raises(PgkeepError, match="it is over already"):
            work.terminate(session)
    records = [json.loads(line) for line in (tmp_path / "state/audit.jsonl").read_text().splitlines()]
    assert [(each["action"], each["actor"]) for each in records] == [("terminate", "host:anna")] * 2
    assert records[1]["result"] == ("ok" if there else "failed")
    assert asked == [[7, "2026-11-24 10:00:00+00"]]


def test_sessions_of_databases_in_another_encoding(monkeypatch):
    asked = []

    def query(socket_dir, statement, values=None):
        asked.append(statement)
        return [(memoryview(b'[{"pid": 7, "query": "caf\xe9"}]'),)]

    monkeypatch.setattr(_monitor_jobs.sql, "query", query)
    work = _monitor_jobs.Work(argparse.Namespace(layout=Layout("app"), who="host:anna"))
    assert work.sessions() == [{"pid": 7, "query": "caf\ufffd"}]
    # As text psycopg2 would decode it, strictly.
    assert asked[0].startswith("\nSELECT textsend(")


def test_the_table_of_a_fleet(found):
    well = row({**found, "status": "healthy", "reasons": []})
    hosts = [
        {"inventory_hostname": "app", "monitor_result": {"monitor": well}},
        {"inventory_hostname": "shop", "monitor_result": {"monitor": {**row(found), "instance": "shop"}}},
        {"inventory_hostname": "far", "monitor_result": {"unreachable": True, "msg": "no route\nto \x1b[2J host"}},
        {"inventory_hostname": "new"},
    ]
    table = fleet(hosts)
    assert [(each["instance"], each["status"]) for each in table["rows"]] == [
        ("far", "critical"), ("new", "critical"), ("shop", "warning"), ("app", "healthy"),
    ]  # fmt: skip
    assert (table["status"], table["reached"]) == ("critical", ["warning", "critical"])
    assert "the host is unreachable: no route to [2J host" in table["lines"][1]
    assert "nobody has looked at it" in table["lines"][2]
    assert table["lines"][4].split()[:10] == [
        "app", "●", "healthy", "yes", "17.12", "primary", "9/100", "123.4", "0.2", "ms",
    ]  # fmt: skip
    assert (fleet(hosts[:1])["status"], fleet(hosts[:1])["reached"]) == ("healthy", [])
    assert fleet(hosts[1:2])["reached"] == ["warning"]
