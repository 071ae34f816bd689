# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command on the host: what it hands to the library, what it prints, how it ends."""

from __future__ import annotations

import io
import json
import os

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils import _actor as actors
from ansible_collections.pgkeep.postgres.plugins.module_utils import _audit as audit
from ansible_collections.pgkeep.postgres.plugins.module_utils import (
    _drill,
    _host,
    _host_restore,
    _restart,
    _restore_actions,
    _sandbox_host,
)
from ansible_collections.pgkeep.postgres.plugins.module_utils import _free as freeing
from ansible_collections.pgkeep.postgres.plugins.module_utils import _host_commands as commands
from ansible_collections.pgkeep.postgres.plugins.module_utils import _host_text as texts
from ansible_collections.pgkeep.postgres.plugins.module_utils._drill_record import Drill, DrillError
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError
from ansible_collections.pgkeep.postgres.plugins.module_utils._layout import Layout
from ansible_collections.pgkeep.postgres.plugins.module_utils._run import Result

from .recorded import load

WHO = "host:anna"
DRILLED = Drill("app", "20261121-225358F", passed=True, started_at="2026-11-21T22:55:00Z", rto_seconds=1.5, rows=3)
RESTORED = {
    "instance": "app",
    "target": "latest",
    "label": "20261121-225358F",
    "reached_time": None,
    "interruption_seconds": 2.04,
    "previous_data": "/data.previous-1",
    "undo": "docker stop app && mv a b",
    "steps": ["Stopped the server"],
}


@pytest.fixture
def host(tmp_path, monkeypatch):
    """A machine with the instances app and shop, as root; returns the commands that were run and their answers."""
    for name in ("app", "shop"):
        (tmp_path / "etc" / name / "server").mkdir(parents=True)
    (tmp_path / "etc/notes").mkdir()
    asked = []
    answers = {}

    def run(argv, data=None, env=None, timeout=None):
        asked.append(list(argv))
        return answers.get(argv[1], Result(0, "{}"))

    monkeypatch.setattr(commands, "CONFIG", str(tmp_path / "etc"))
    monkeypatch.setattr(Layout, "home", property(lambda self: str(tmp_path / "lib" / self.name)))
    monkeypatch.setattr(_host, "run", run)
    monkeypatch.setattr(_host, "actor", lambda way: WHO)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    return asked, answers


def said(capsys):
    out, err = capsys.readouterr()
    return out, err.splitlines()


@pytest.mark.parametrize(
    "words, why",
    [
        (["nobody", "status"], "why:   there is app, shop"),
        (["app", "destroy"], "why:   there is no command destroy; there are status, "),
        (["app", "status", "--wide"], "why:   unrecognized arguments: --wide"),
        (["app", "audit", "prove"], "why:   argument what: invalid choice: 'prove'"),
        (["app", "restore"], "why:   restore replaces the data, and --confirm does not name it"),
        (["app", "restore", "--confirm", "shop"], "why:   restore replaces the data"),
        (["app", "restore", "promote"], "why:   restore replaces the data"),
        (["app", "restart"], "why:   restart ends every connection"),
        (["app", "free"], "why:   free removes the way back"),
        (["list", "--all"], "why:   unrecognized arguments: --all"),
    ],
)
def test_a_wrong_call_is_told_in_three_lines_and_touches_nothing(host, capsys, words, why):
    assert _host.main(words) == 2
    out, err = said(capsys)
    assert (out, len(err)) == ("", 3)
    assert err[0].startswith("error: ")
    assert err[1].startswith(why)
    assert err[2].startswith("next:  pgkeep")
    assert host[0] == []


def test_the_next_step_is_the_same_call_confirmed(host, capsys):
    """Without its action it would bring back the newest state instead of the preview."""
    assert _host.main(["app", "restore", "promote", "--confirm", "shop", "--keep-previous", "2"]) == 2
    assert said(capsys)[1][2] == "next:  pgkeep app restore promote --keep-previous 2 --confirm app"


def test_help(host, capsys):
    assert _host.main([]) == 2
    assert _host.main(["--help"]) == _host.main(["app"]) == 0
    out, _err = said(capsys)
    assert all("\n  %s " % name in out for name in commands.COMMANDS)
    assert "/etc/pgkeep/app/RUNBOOK.md" in out


def test_only_root_may(host, capsys, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert _host.main(["app", "status"]) == 1
    assert said(capsys)[1][2] == "next:  sudo pgkeep …"


@pytest.mark.parametrize("busy, rc", [(False, 1), (True, 75)])
def test_what_the_keeper_says_against_it(host, capsys, busy, rc):
    error = PgkeepError("It did not work", "because\n of this", "do that", busy=busy)
    host[1]["exec"] = Result(rc, json.dumps({"error": error.to_result()}))
    assert _host.main(["app", "backup"]) == rc
    assert said(capsys) == ("", ["error: It did not work", "why:   because of this", "next:  do that"])


@pytest.mark.parametrize(
    "words, argv",
    [
        (["backup"], ["backup", "--type", "incr"]),
        (["backup", "--type", "full", "--check"], ["backup", "--type", "full", "--check"]),
        (["dump", "--database", "app", "--", "--json"], ["dump", "--database", "app", "--json"]),
        (["dumps"], ["dumps"]),
        (["prune", "--confirm", "app", "--keep", "2"], ["prune", "--keep", "2"]),
        (["prune", "--check"], ["prune", "--keep", "3", "--check"]),
        (["restore-point", "--name", "r42"], ["restore-point", "--name", "r42", "--timeout", "60"]),
    ],
)
def test_what_the_keeper_is_asked(host, words, argv):
    host[1]["exec"] = Result(0, json.dumps({"backup": None, "plan": {}, "restore_point": {"name": "r42"}}))
    assert _host.main(["app", *words, "--json"] if "--" not in words else ["app", *words]) == 0
    assert host[0] == [["docker", "exec", "--user", "999:999", "app-keeper", "pgkeep", "--actor", WHO, *argv]]


def test_a_keeper_that_does_not_know_the_command(host, capsys):
    words = "pgkeep: error: argument COMMAND: invalid choice: 'dump' (choose from 'backup', 'info')"
    host[1]["exec"] = Result(2, "", "usage: pgkeep\n" + words)
    assert _host.main(["app", "dump"]) == 1
    assert said(capsys)[1] == [
        "error: The keeper of app has no command dump",
        "why:   its image is older than this command",
        "next:  run the playbook deploy.yml, which brings a new keeper without touching the server",
    ]


def test_backups_as_text_and_as_an_object(host, capsys):
    host[1]["exec"] = Result(0, json.dumps(load("drill/info.json")))
    assert _host.main(["app", "backups", "--json"]) == 0
    out, _err = said(capsys)
    assert json.loads(out) == load("drill/info.json")
    assert _host.main(["app", "backups"]) == 0
    out, _err = said(capsys)
    labels = [each["label"] for each in load("drill/info.json")["backup_info"]["backups"]]
    assert [line.split()[0] for line in out.splitlines()[-len(labels) :]] == labels
    assert "\x1b" not in out
    assert all(line == line.rstrip() for line in out.splitlines())
    several = load("drill/info.json")
    one = {"type": "posix", "status": "ok", "status_text": "ok", "newest_clean": "F", "error": None}
    several["backup_info"]["repositories"] = [
        {"number": 1, **one, "proven_at": "2026-11-22T03:00:04Z"},
        {"number": 2, **one, "type": "s3", "proven_at": None, "error": "no route"},
    ]
    host[1]["exec"] = Result(0, json.dumps(several))
    assert _host.main(["app", "backups"]) == 0
    assert [line.split() for line in said(capsys)[0].splitlines()[-2:]] == [
        ["1", "posix", "F", "2026-11-22T03:00:04Z", "-"],
        ["2", "s3", "F", "never", "no", "route"],
    ]


def test_restore_and_drill_reach_the_library_with_the_options_of_their_modules(host, monkeypatch, capsys):
    seen = []

    def restore(run, request, check_mode, who=None):
        seen.append((request, check_mode, who))
        return {"changed": True, "restore": RESTORED}

    def drill(sandbox, request, check_mode, who=None):
        seen.append((request, check_mode, who))
        return {"changed": True, "drill": DRILLED.to_result()}

    monkeypatch.setattr(_host_restore, "act", restore)
    monkeypatch.setattr(_sandbox_host, "on_host", lambda run, name: name)
    monkeypatch.setattr(_drill, "drill", drill)
    assert _host.main(["app", "restore", "--confirm", "app", "--time", "2026-01-05 02:00:00+00"]) == 0
    assert _host.main(["app", "restore", "--check", "--label", "L"]) == 0
    assert _host.main(["app", "drill"]) == 0
    assert _host.main(["app", "drill", "--repository", "2"]) == 0
    (first, check, who), (second, second_check, _who), (third, _check, _same), (fourth, _last, _again) = seen
    assert (first.name, first.confirm, first.label, first.time) == ("app", "app", None, "2026-01-05 02:00:00+00")
    assert (first.keep_previous, first.timeout_seconds, check, who) == (1, 21600, False, WHO)
    assert (second.confirm, second.label, second_check) == ("app", "L", True)
    assert (third.repository, fourth.repository) == (1, 2)
    assert (third.label, third.heapallindexed, third.timeout_seconds, third.max_age_seconds) == (
        None,
        True,
        None,
        None,
    )
    out, _err = said(capsys)
    assert "The way back\n  - docker stop app && mv a b\n" in out
    assert "interruption  2.0 s\n" in out
    assert "result       passed\n" in out


@pytest.mark.parametrize(
    "words, fields",
    [
        (["preview", "--restore-point", "r42"], {"action": "preview", "restore_point": "r42", "confirm": None}),
        (["preview", "--lsn", "0/3000060", "--ttl-seconds", "60"], {"lsn": "0/3000060", "ttl_seconds": 60}),
        (["--xid", "771", "--label", "L", "--confirm", "app"], {"action": "restore", "xid": "771", "label": "L"}),
        (["--immediate", "--repository", "2", "--confirm", "app"], {"immediate": True, "repository": 2}),
        (["promote", "--confirm", "app"], {"action": "promote", "confirm": "app"}),
        (["clone", "--into", "look", "--port", "5499"], {"action": "clone", "into": "look", "port": 5499}),
        (["abandon", "--into", "look"], {"action": "abandon", "into": "look"}),
        (["sweep"], {"action": "sweep", "ttl_seconds": 14400}),
    ],
)
def test_every_target_and_action_of_the_module_restore(host, monkeypatch, words, fields):
    seen = []
    monkeypatch.setattr(
        _host_restore, "act", lambda run, request, *rest, **who: seen.append(request) or {"restore": RESTORED}
    )
    assert _host.main(["app", "restore", *words]) == 0
    (request,) = seen
    assert {name: getattr(request, name) for name in fields} == fields


def test_every_action_of_the_module_is_one_of_the_command():
    (action,) = [keywords for name, keywords in commands.COMMANDS["restore"].options if name == "action"]
    assert action["choices"] == _restore_actions.ACTIONS


@pytest.mark.parametrize(
    "words, why",
    [
        (["--lsn", "0/1", "--xid", "7"], "why:   --lsn and --xid are two targets"),
        (["--immediate", "--time", "2026-01-05 02:00Z"], "why:   --time and --immediate are two targets"),
        (["--label", "L", "--immediate"], "why:   --label and --immediate are two targets"),
        (["clone"], "why:   a clone needs a name"),
        (["clone", "--into", "look", "--masking-sql-file", "/nowhere/m.sql"], "why:   /nowhere/m.sql: No such file"),
    ],
)
def test_a_restore_that_says_two_things_does_neither(host, monkeypatch, capsys, words, why):
    monkeypatch.setattr(_host_restore, "act", None)
    assert _host.main(["app", "restore", "--confirm", "app", *words]) == 1
    assert said(capsys)[1][1].startswith(why)


def test_a_masking_script_is_read_and_not_recorded(host, monkeypatch, tmp_path):
    seen = []
    monkeypatch.setattr(
        _host_restore, "act", lambda run, request, *rest, **who: seen.append(request) or {"restore": RESTORED}
    )
    (tmp_path / "mask.sql").write_text("update users set mail = null")
    words = ["clone", "--into", "look", "--masking-sql-file", str(tmp_path / "mask.sql")]
    assert _host.main(["app", "restore", *words]) == 0
    assert seen[0].masking_sql == "update users set mail = null"
    assert "masking_sql" not in seen[0].told()


def test_copies_and_what_is_lost_are_told(host, monkeypatch, capsys):
    copy = {"kind": "preview", "name": None, "target": "name r42", "reached_time": "2026-01-05T01:59:58Z",
            "expires_at": "2026-01-05T08:00:00Z", "psql": "docker exec -it app-preview psql -U postgres"}  # fmt: skip
    lost = {"from": "2026-01-05T02:00:00Z", "to": "2026-01-05T04:00:00Z", "seconds": 7200}
    monkeypatch.setattr(
        _host_restore, "act", lambda *rest, **who: {"restore": {**RESTORED, "lost": lost, "copies": [copy]}}
    )
    assert _host.main(["app", "restore", "preview", "--restore-point", "r42"]) == 0
    out, _err = said(capsys)
    assert "lost          what was committed from 2026-01-05T02:00:00Z to 2026-01-05T04:00:00Z\n" in out
    assert "docker exec -it app-preview psql -U postgres\n" in out


def test_a_failed_drill_is_an_error_or_with_json_an_object(host, monkeypatch, capsys):
    done = Drill("app", "L", passed=False, started_at="2026-11-21T22:55:00Z")

    def drill(sandbox, request, check_mode, who=None):
        raise DrillError(done, "rows: three are missing", "look")

    monkeypatch.setattr(_sandbox_host, "on_host", lambda run, name: name)
    monkeypatch.setattr(_drill, "drill", drill)
    assert _host.main(["app", "drill"]) == 1
    assert said(capsys)[1][1] == "why:   rows: three are missing"
    assert _host.main(["app", "drill", "--json"]) == 1
    found = json.loads(said(capsys)[0])
    assert (found["drill"]["passed"], found["error"]["next_step"]) == (False, "look")


def test_restart_and_free(host, monkeypatch, capsys):
    facts = {"version": "17.6", "role": "primary"}
    done = {"instance": "app", "interruption_seconds": None, "start_seconds": 3.0, **facts}
    freed = {"instance": "app", "directories": [{"path": "/old", "size_bytes": 2048}], "leftovers": ["app-drill"]}
    freed.update(backups=["L"], error="It is busy", freed_bytes=2048)
    monkeypatch.setattr(_restart, "restart", lambda run, layout, who, seconds: {"restart": done})
    monkeypatch.setattr(freeing, "free", lambda run, layout, who, check: {"free": freed})
    assert _host.main(["app", "restart", "--confirm", "app"]) == 0
    assert "started in    3.0 s\n" in said(capsys)[0]
    assert _host.main(["app", "free", "--check"]) == 0
    out = said(capsys)[0]
    assert out.startswith("app: 2 kB\n  - /old (2 kB)\n  - app-drill\n  - backup L\n")
    assert out.endswith("Old backups could not be removed\n  - It is busy\n")


@pytest.mark.parametrize(
    "words, argv",
    [
        (["psql", "-c", "select 1"], ["exec", "--interactive", "app", "psql", "-c", "select 1"]),
        (["logs"], ["logs", "--tail", "100", "app"]),
        (["logs", "--keeper", "--since", "1h"], ["logs", "--since", "1h", "app-keeper"]),
    ],
)
def test_what_becomes_another_program(host, monkeypatch, words, argv):
    became = []
    monkeypatch.setattr(os, "execvp", lambda program, words: became.append((program, words)))
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert _host.main(["app", *words]) == 0
    assert became == [("docker", ["docker", *argv])]


def test_who_opens_a_shell_is_recorded_and_no_word_of_it(host, tmp_path, monkeypatch):
    monkeypatch.setattr(audit, "UID", os.getuid())
    monkeypatch.setattr(audit, "GID", os.getgid())
    monkeypatch.setattr(os, "execvp", lambda program, words: None)
    (tmp_path / "lib/app/state").mkdir(parents=True)
    assert _host.main(["app", "psql", "-c", "alter role app password 'geheim'"]) == 0
    (found,) = audit.operations(audit.records(str(tmp_path / "lib/app/state")))
    assert [found[key] for key in ("action", "actor", "parameters")] == ["psql", WHO, {}]


def test_the_trail_and_its_proof(host, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(audit, "UID", os.getuid())
    monkeypatch.setattr(audit, "GID", os.getgid())
    state = tmp_path / "lib/app/state"
    state.mkdir(parents=True)
    assert _host.main(["app", "audit"]) == 0
    assert said(capsys)[0] == "Nothing is recorded.\n"
    for number in range(3):
        with audit.recorded(str(state), "backup", WHO, {"type": "full", "number": number}):
            pass
    assert _host.main(["app", "audit", "--last", "1"]) == 0
    rows = said(capsys)[0].splitlines()
    assert len(rows) == 2
    assert rows[1].split()[1:4] == [WHO, "backup", "ok"]
    assert rows[1].endswith("number=2, type=full")
    assert _host.main(["app", "audit", "verify"]) == 0
    trail = state / audit.FILE
    trail.write_text(trail.read_text().replace('"number": 1', '"number": 7'))
    assert _host.main(["app", "audit", "verify"]) == 1
    assert "line 4 does not follow" in said(capsys)[0]


def test_list_shows_what_is_absent_too(host, capsys):
    host[1]["ps"] = Result(0, "app\tUp 2 h\t[::1]:5432\napp-keeper\tUp 2 h\t\napp-pooler\tUp 1 h\t[::1]:6432\n")
    assert _host.main(["list"]) == 0
    assert said(capsys)[0].splitlines() == [
        "INSTANCE  SERVER  KEEPER  POOLER  PORTS",
        "app       Up 2 h  Up 2 h  Up 1 h  [::1]:5432, [::1]:6432",
        "shop      absent  absent  -       -",
    ]


@pytest.mark.parametrize("environment, colour", [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)])
def test_colour_only_on_a_terminal_that_wants_it(monkeypatch, environment, colour):
    for name in ("NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True, raising=False)
    assert texts.Style.of(terminal).colour is colour
    assert texts.Style.of(io.StringIO()).colour is False
    shown = texts.table(("A", "B"), [("failed", "x")], texts.Style(colour=True))
    assert shown == "A       B\n\x1b[31mfailed\x1b[0m  x\n"


def test_an_object_of_unknown_shape():
    answer = {"dumps": [{"name": "a", "size_bytes": 3, "tables": ["x"]}, {"name": "b", "ok": True}], "changed": False}
    shown = texts.text("any", answer, texts.Style())
    assert shown == "NAME  SIZE_BYTES  OK\na     3           -\nb     -           yes\nchanged  no\n"


@pytest.mark.parametrize(
    "login, sudo, wanted",
    [("0", "bert", "ansible:root"), ("4294967295", "bert", "ansible:bert"), ("4294967295", "", "ansible:root")],
)
def test_who_asks(monkeypatch, login, sudo, wanted):
    monkeypatch.setattr(actors, "read", lambda path: login + "\n")
    monkeypatch.setenv("SUDO_USER", sudo)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert actors.actor(actors.ANSIBLE) == wanted
