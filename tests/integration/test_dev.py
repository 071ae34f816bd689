# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`make dev` and `make dev-clean` in a fresh clone, as a developer types them."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Callable, Iterator, Sequence

import pytest

ROOT = Path(__file__).parents[2]
# Nobody else's instance is called so.
NAME, BYSTANDER = "pgkeep-it-dev", "pgkeep-it-dev-too"
PORT = "15494"
FOLDERS = (Path("/etc/pgkeep", NAME), Path("/var/lib/pgkeep", NAME))


def run(*argv: str) -> str:
    return subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


def left() -> list[str]:
    """Containers, volumes and folders of the instance."""
    label = "label=pgkeep.instance=" + NAME
    containers = run("docker", "ps", "-aq", "--filter", label).split()
    volumes = run("docker", "volume", "ls", "-q", "--filter", label).split()
    return [*containers, *volumes, *(str(folder) for folder in FOLDERS if folder.exists())]


@pytest.fixture
def clone(tmp_path: Path) -> Iterator[Path]:
    copy = tmp_path / "clone"
    run(str(ROOT / "scripts/copy-tree"), str(copy))
    link = copy / "collections/ansible_collections/pgkeep/postgres"
    link.parent.mkdir(parents=True)
    link.symlink_to("../../..")
    hosts = copy / "inventories/dev/hosts.yml"
    hosts.write_text(hosts.read_text().replace(" dev:\n", " %s:\n" % NAME))
    run("docker", "volume", "create", "--label", "pgkeep.instance=" + BYSTANDER, BYSTANDER)
    yield copy
    for kind, verb in (("container", "ls"), ("volume", "ls")):
        every = ["--all"] if kind == "container" else []
        for name in (NAME, BYSTANDER):
            found = run("docker", kind, verb, *every, "--quiet", "--filter", "label=pgkeep.instance=" + name).split()
            for each in found:
                run("docker", kind, "rm", "--force", each)
    for folder in FOLDERS:
        shutil.rmtree(folder, ignore_errors=True)


def contents(folder: Path) -> dict[str, str]:
    return {str(path): path.read_text() for path in sorted(folder.rglob("*")) if path.is_file()}


def refusal(clone: Path, **environment: str) -> str:
    argv = ["env", *("%s=%s" % pair for pair in environment.items()), str(clone / "scripts/dev-clean")]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    return done.stderr


def test_a_development_instance_in_one_command(clone: Path, run_logged: Callable[[str, Sequence[str]], None]) -> None:
    def make(target: str, log: str) -> str:
        # With the tools of this checkout, and with the collection and the settings of the clone.
        environment = ["-u", "ANSIBLE_COLLECTIONS_PATH", "ANSIBLE_DIFF_ALWAYS=1", "PORT=" + PORT]
        run_logged(log, ["env", *environment, "make", "-C", str(clone), "BOOTSTRAP=true", target])
        return (ROOT / ".work/logs" / (log + ".log")).read_text()

    secrets = clone / "inventories/dev/.secrets"
    first = make("dev", "dev-first")
    generated = contents(secrets)
    password = generated[str(secrets / NAME / "app.password")].strip()
    assert len(password) == 32
    assert password not in first
    assert {path.stat().st_mode & 0o077 for path in (secrets / NAME).glob("*") if path.suffix != ".crt"} == {0}

    line = next(words for words in first.splitlines() if words.strip().startswith("set -a"))
    sql = "select current_user || ' ' || (select ssl from pg_stat_ssl where pid = pg_backend_pid())"
    assert run("sh", "-c", '%s -XAtc "%s"' % (line, sql)) == "app true"
    alone = 'env -u PGPASSWORD psql "$DATABASE_URL" -XAtc "%s"' % sql
    assert run("sh", "-c", line.replace("psql", alone)) == "app true"

    about = json.loads(run("docker", "inspect", NAME))[0]["HostConfig"]
    assert about["PortBindings"] == {"5432/tcp": [{"HostIp": "127.0.0.1", "HostPort": PORT}]}
    assert about["Memory"] == 384 << 20

    second = make("dev", "dev-second")
    assert "changed=0 " in second
    assert contents(secrets) == generated

    # Somebody else's instance of that name.
    before = left()
    assert len(before) == 2 + 5 + len(FOLDERS)
    passphrase = secrets / NAME / "repository.passphrase"
    ours = passphrase.read_text()
    passphrase.write_text("another\n")
    assert "another passphrase" in refusal(clone)
    assert left() == before
    passphrase.write_text(ours)
    assert "engine does not answer" in refusal(clone, DOCKER_HOST="unix:///nowhere")
    assert contents(secrets) == generated

    make("dev-clean", "dev-clean")
    assert left() == []
    assert not secrets.exists()
    assert run("docker", "volume", "ls", "--quiet", "--filter", "name=^%s$" % BYSTANDER) == BYSTANDER


def test_what_is_generated_is_never_committed() -> None:
    for name in ("inventories/dev/.secrets/dev/app.env", "inventories/dev/.secrets/ca/ca.key"):
        run("git", "-C", str(ROOT), "check-ignore", name)
