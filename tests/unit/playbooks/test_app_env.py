# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The environment that `make dev` writes for an application."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from jinja2 import Environment

TEMPLATE = Path(__file__).parents[3] / "playbooks/templates/app.env.j2"


def rendered(folder: Path) -> list[str]:
    environment = Environment(trim_blocks=True)
    environment.filters["from_json"] = json.loads
    environment.tests["file"] = os.path.isfile
    environment.filters["dirname"] = os.path.dirname
    text = environment.from_string(TEMPLATE.read_text()).render(
        lookup=lambda plugin, path: Path(path).read_text().strip(),
        environment_file=str(folder / "app.env"),
        inventory_hostname="app",
        postgres_server_databases=[{"name": "shop", "owner": "app"}],
        postgres_server_port=5432,
    )
    return text.splitlines()


@pytest.mark.parametrize("current", [None, "app", "app_b"])
def test_it_has_the_login_that_is_in_force(tmp_path, current):
    for login in ("app", "app_b"):
        (tmp_path / (login + ".password")).write_text("word-of-%s\n" % login)
    if current:
        (tmp_path / "app.logins").write_text(json.dumps({"user": "app", "current": current}))
    login = current or "app"
    lines = rendered(tmp_path)
    assert "PGUSER=%s" % login in lines
    assert "PGPASSWORD=word-of-%s" % login in lines
    assert lines[-1].startswith("DATABASE_URL='postgresql://%s:word-of-%s@127.0.0.1:5432/shop?" % (login, login))
