# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Releases that can be returned to: what is kept, for how long, what is refused."""

from __future__ import annotations

import argparse
import json
import os
import stat
from dataclasses import replace

import pytest
from ansible_collections.pgkeep.postgres.plugins.module_utils import _files, _images
from ansible_collections.pgkeep.postgres.plugins.module_utils import _host_commands as commands
from ansible_collections.pgkeep.postgres.plugins.module_utils import _host_text as texts
from ansible_collections.pgkeep.postgres.plugins.module_utils import _journal as journals
from ansible_collections.pgkeep.postgres.plugins.module_utils import _release as releases
from ansible_collections.pgkeep.postgres.plugins.module_utils import _rollback as rollbacks
from ansible_collections.pgkeep.postgres.plugins.module_utils._declared import declare
from ansible_collections.pgkeep.postgres.plugins.module_utils._errors import PgkeepError
from ansible_collections.pgkeep.postgres.plugins.module_utils._layout import Layout
from ansible_collections.pgkeep.postgres.plugins.module_utils._run import Result
from ansible_collections.pgkeep.postgres.plugins.module_utils._terms import GATES, Terms, terms_from

from .instance_options import options
from .instance_options import pooler as a_pooler

LAYOUT = Layout("app")
LABELS = {"org.opencontainers.image.vendor": "pgkeep"}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(Layout, "home", property(lambda self: str(tmp_path / self.name)))
    # The real one gives files to the container's group, which only root can.
    monkeypatch.setattr(releases, "write", own)
    os.makedirs(LAYOUT.releases_dir)


def own(file):
    _files.write(replace(file, uid=os.getuid(), gid=os.getgid()))


def declared_with(image="sha256:server", **more):
    return declare(options(**more), image, "sha256:keeper", "sha256:pooler" if more.get("pooler") else None)


def pooled(**more):
    return {"pooler": a_pooler(**more), "settings": {"max_connections": 100}}


def record(name=None, image="sha256:server", major=17, restore_point=None, **more):
    declared = declared_with(image, major=major, **more)
    terms = Terms(start_timeout_seconds=7).to_dict()
    return releases.record(
        LAYOUT, major, declared.server, declared.keeper, declared.files,
        pooler=declared.pooler, name=name, terms=terms, interruption_ms=3, restore_point=restore_point,
    )  # fmt: skip


class Images:
    """Answers inspections of images; refuses to remove those that are used."""

    def __init__(self, *known, used=(), labels=None):
        self.known = list(known)
        self.used = used
        self.labels = LABELS if labels is None else labels

    def __call__(self, argv, data=None, env=None, timeout=None):
        _docker, _image, verb, name = argv
        if verb == "rm":
            if name in self.used:
                return Result(1, "", "conflict: unable to delete %s (cannot be forced)" % name)
            self.known.remove(name)
            return Result(0)
        if name in self.known:
            return Result(0, json.dumps([{"Config": {"Labels": self.labels}}]))
        return Result(1, "", "Error: No such image: %s" % name)


@pytest.mark.parametrize("more", [{}, pooled()], ids=["no pooler", "pooler"])
def test_a_record_gives_the_declared_state_back_and_nobody_else_reads_its_secrets(more):
    name = record(**more)
    wanted = declared_with(**more)
    current = releases.read_current(LAYOUT)
    # Without what initdb was told, which nobody asks where the data are there.
    assert rollbacks.returned(LAYOUT, current, current) == replace(
        wanted, files=tuple(sorted(wanted.files, key=lambda file: file.path)), initdb_args=()
    )
    assert terms_from(current["terms"]) == Terms(start_timeout_seconds=7)
    path = os.path.join(LAYOUT.releases_dir, name + ".json")
    assert "monitor-secret" in (_files.read(path) or "")
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o400


def test_what_is_listed_holds_no_content_of_a_file():
    record("1")
    record("2", restore_point="deploy-2")
    found = rollbacks.releases("app")
    assert [(each["name"], each["current"], each["restore_point"]) for each in found] == [
        ("2", True, "deploy-2"),
        ("1", False, None),
    ]
    assert "secret" not in json.dumps(found)


def test_only_the_newest_are_kept_and_that_in_force():
    for name in "1234":
        record(name)
    record("1")
    gone = releases.forget_old(LAYOUT, 2)
    assert [each["name"] for each in gone] == ["2"]
    assert [each["name"] for each in releases.kept(LAYOUT)] == ["1", "3", "4"]
    assert releases.read_current(LAYOUT)["name"] == "1"


def test_a_record_that_cannot_be_read_blocks_neither_a_deploy_nor_a_way_back():
    for name in "123":
        record(name)
    path = os.path.join(LAYOUT.releases_dir, "1.json")
    os.chmod(path, 0o600)
    with open(path, "w") as handle:
        handle.write("{")
    assert [each["name"] for each in releases.kept(LAYOUT)] == ["2", "3"]
    assert releases.forget_old(LAYOUT, 2) == []
    assert not os.path.exists(path)


def test_whoever_takes_the_record_in_force_away_may_deploy():
    record("1")
    os.unlink(os.path.join(LAYOUT.releases_dir, "1.json"))
    assert releases.read_current(LAYOUT) is None
    assert releases.in_force(LAYOUT) == ""


def test_going_back_to_the_release_in_force_is_a_commit_too(monkeypatch):
    times = iter((1000000000, 1000000001))
    monkeypatch.setattr(releases, "rfc3339", lambda moment: str(next(times)))
    record("1")
    before = releases.in_force(LAYOUT)
    record("1")
    assert releases.in_force(LAYOUT) != before


def test_a_record_that_did_not_come_into_force_is_none(monkeypatch):
    record("1")

    def write(file):
        if file.path.endswith("/current"):
            raise PgkeepError("The file could not be written", "No space left on device")
        own(file)

    monkeypatch.setattr(releases, "write", write)
    with pytest.raises(PgkeepError, match="No space left"):
        record("2")
    assert [each["name"] for each in releases.kept(LAYOUT)] == ["1"]


def test_images_go_with_their_last_release():
    for name, image in (("1", "sha256:a"), ("2", "sha256:b"), ("3", "sha256:c"), ("4", "sha256:c")):
        record(name, image)
    other = Layout("other")
    os.makedirs(other.releases_dir)
    os.link(os.path.join(LAYOUT.releases_dir, "2.json"), os.path.join(other.releases_dir, "9.json"))
    engine = Images("sha256:a", "sha256:b", "sha256:c", "sha256:keeper", "sha256:foreign")
    assert _images.remove_unused(engine, LAYOUT, releases.forget_old(LAYOUT, 1)) == ["sha256:a"]
    assert engine.known == ["sha256:b", "sha256:c", "sha256:keeper", "sha256:foreign"]


@pytest.mark.parametrize("more", [{"used": ["sha256:a"]}, {"labels": {}}], ids=["used", "not ours"])
def test_an_image_that_somebody_needs_or_that_is_not_ours_stays(more):
    record("1", "sha256:a")
    record("2", "sha256:b")
    engine = Images("sha256:a", "sha256:b", **more)
    assert _images.remove_unused(engine, LAYOUT, releases.forget_old(LAYOUT, 1)) == []
    assert engine.known == ["sha256:a", "sha256:b"]


def test_the_image_of_a_pooler_is_needed_as_long_as_a_release_has_one(ensured):
    record("1", **pooled())
    record("2")
    with pytest.raises(PgkeepError, match="the image sha256:pooler is not on this machine"):
        rollbacks.rollback(Images("sha256:server", "sha256:keeper"), "app", "1", False)
    assert [each["pooler_image"] for each in rollbacks.releases("app")] == [None, "sha256:pooler"]
    engine = Images("sha256:server", "sha256:keeper", "sha256:pooler")
    assert _images.remove_unused(engine, LAYOUT, releases.forget_old(LAYOUT, 1)) == ["sha256:pooler"]


def test_the_pooler_looks_up_verifiers_with_the_password_of_now(ensured):
    record("1", **pooled(password="old-word"))
    record("2", **pooled(password="new-word"))
    rollbacks.rollback(Images("sha256:server", "sha256:keeper", "sha256:pooler"), "app", "1", True)
    declared = ensured[0][0][0]
    texts = {file.path.rsplit("/", 1)[1]: file.content for file in declared.files}
    assert texts["userlist.txt"] == '"pgkeep_pooler" "new-word"\n'
    assert declared.pooler.image == "sha256:pooler"


@pytest.fixture
def ensured(monkeypatch):
    """What rollback() hands to ensure()."""
    seen = []
    monkeypatch.setattr(rollbacks, "ensure", lambda run, *arguments, **more: seen.append((arguments, more)) or {})
    return seen


def test_without_a_name_it_is_the_release_before(ensured):
    for name in "123":
        record(name, memory_bytes=int(name) << 30)
    run = Images("sha256:server", "sha256:keeper")
    rollbacks.rollback(run, "app", None, False, who="host:anna")
    (declared, terms, check), more = ensured[0]
    assert (declared.server.memory_bytes >> 30, terms.gates, check) == (2, GATES, False)
    assert more == {"release": "2", "who": "host:anna"}
    assert declared.collation == "reindex"
    # After going back to it, one further: the newer one is what somebody wanted to leave.
    record("2")
    rollbacks.rollback(run, "app", None, False)
    assert ensured[1][1]["release"] == "1"


def test_where_a_deploy_was_killed_it_is_the_release_in_force(ensured, monkeypatch):
    record("1")
    record("2")
    monkeypatch.setattr(journals, "write", own)
    journals.Journal("2", True, files={"/etc/x": True}).save(LAYOUT)
    rollbacks.rollback(Images("sha256:server", "sha256:keeper"), "app", None, False)
    assert ensured[0][1]["release"] == "2"


def test_passwords_stay_those_of_the_roles(ensured):
    clients = [{"service": "app", "database": "app", "user": "a:b", "password": "old"}]
    record("1", clients=clients, monitor_password="old-monitor", port=6000)
    gone = {"service": "gone", "database": "app", "user": "gone", "password": "gone"}
    record("2", clients=[{**clients[0], "password": "n:e\\w"}, gone], monitor_password="new-monitor")
    rollbacks.rollback(Images("sha256:server", "sha256:keeper"), "app", "1", True)
    texts = {file.path.rsplit("/", 1)[1]: file.content for file in ensured[0][0][0].files}
    assert texts["pgpass"] == "127.0.0.1:6000:app:a\\:b:n\\:e\\\\w\n127.0.0.1:6000:*:pgkeep_monitor:new-monitor\n"
    assert texts["monitor.password"] == "new-monitor\n"


@pytest.mark.parametrize(
    "release, images, words",
    [
        ("0", ["sha256:server"], "no release 0 is kept. Next: name one that is kept: 1, 2, 3, 4"),
        ("1", ["sha256:server"], "it ran PostgreSQL 16 and the data are those of 17: everything written since would"),
        ("2", ["sha256:server", "sha256:keeper"], "the image sha256:gone is not on this machine.*release: 3, 4"),
    ],
)  # fmt: skip
def test_what_would_lose_data_or_cannot_work_is_refused(ensured, release, images, words):
    record("1", major=16)
    record("2", "sha256:gone")
    record("3")
    record("4")
    with pytest.raises(PgkeepError, match=words):
        rollbacks.rollback(Images(*images), "app", release, False)
    assert ensured == []


@pytest.mark.parametrize(
    "then, now, locked",
    [
        (["app"], ["app_b"], ["app_b"]),
        (["app"], ["app_b", "app"], ["app_b"]),
        (["app_b"], ["app", "app_b"], ["app"]),
        # Begun and not switched: nobody uses it yet.
        (["app"], ["app", "app_b"], []),
        (["app", "app_b"], ["app_b"], []),
        # A user that is new, or gone.
        (["app"], ["app", "report"], []),
        (["app", "report"], ["app"], []),
        ([], ["app_b"], []),
    ],
)
def test_who_is_locked_out_by_going_back(then, now, locked):
    found = rollbacks.locked_out([("shop", user) for user in now], [("shop", user) for user in then])
    assert found == [("shop", user) for user in locked]


def test_going_back_past_a_rotation_is_refused(ensured):
    client = {"service": "app", "database": "app", "user": "app", "password": "old"}
    record("1", clients=[client])
    record("2", clients=[{**client, "user": "app_b", "password": "new"}])
    with pytest.raises(
        PgkeepError,
        match="not let the login in that clients use now: app_b in the database app.*Next: choose a release from after",
    ):
        rollbacks.rollback(Images("sha256:server", "sha256:keeper"), "app", None, False)
    assert ensured == []


def test_there_is_nothing_to_go_back_to(ensured):
    with pytest.raises(PgkeepError, match="no release of it is kept"):
        rollbacks.rollback(Images(), "app", None, False)
    record("1")
    with pytest.raises(PgkeepError, match="no release older than 1 is kept"):
        rollbacks.rollback(Images(), "app", None, False)


def test_the_commands_of_the_host(monkeypatch):
    record("1", "sha256:" + "0d7b" * 16)
    record("2", restore_point="deploy-2")
    context = commands.Context(Images("sha256:" + "0d7b" * 16, "sha256:keeper"), LAYOUT, "host:anna")
    listed = commands.COMMANDS["releases"].function(context, argparse.Namespace())
    lines = texts.text("releases", listed, texts.Style()).splitlines()
    assert lines[1].split() == ["2", "yes", "17", "server", "1", "GB", "3", "ms", "deploy-2"]
    assert lines[2].split() == ["1", "no", "17", "0d7b0d7b0d7b", "1", "GB", "3", "ms", "-"]

    gate = {"gate": "write", "measured": "committed within 2.1 ms and read back"}
    step = {"action": "replace", "target": "container app", "reason": "cpus: 1 -> 2"}
    told = {"name": "app", "running": True, "release": "1", "interruption_ms": 1430, "restore_point": "deploy-1"}

    def ensure(run, declared, terms, check, release, who):
        assert (declared.server.image[:11], check, release, who) == ("sha256:0d7b", True, "1", "host:anna")
        return {"changed": True, "diff": [], "instance": {**told, "plan": [step], "gates": [gate]}}

    monkeypatch.setattr(rollbacks, "ensure", ensure)
    answer = commands.COMMANDS["rollback"].function(context, argparse.Namespace(release=None, check=True))
    text = texts.text("rollback", answer, texts.Style())
    assert list(answer) == ["instance"]
    assert "restore point  deploy-1" in text
    assert "  - replace container app: cpus: 1 -> 2" in text
    assert "  - write: committed within 2.1 ms and read back" in text
