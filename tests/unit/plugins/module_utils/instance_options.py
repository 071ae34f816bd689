# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of the module instance that the recorded container of tests/fixtures/docker was made with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FIXTURES = Path(__file__).parents[3] / "fixtures" / "docker"


def recorded_server() -> dict[str, Any]:
    return json.loads((FIXTURES / "server_inspect.json").read_text())[0]


def client(database: str, user: str) -> dict[str, str]:
    return {"service": database, "database": database, "user": user, "password": user + "-secret"}


def pooler(**more: Any) -> dict[str, Any]:
    return {
        "image": "pgkeep/pooler:17",
        "port": 6432,
        "password": "lookup-word",
        "mode": "transaction",
        "size": 0,
        "sizes": {},
        "min_size": 2,
        "max_clients": 500,
        "queue_timeout_seconds": 15,
        "memory": "128MB",
        "cpus": 1.0,
        **more,
    }


def endpoints(**more: Any) -> dict[str, Any]:
    """keeper_http, as the module hands it on."""
    values = {"port": 9432, "bind_address": "127.0.0.1", "token": "keeper-secret"}
    return {**values, "environment": "production", "interval_seconds": 5, **more}


def options(**more: Any) -> dict[str, Any]:
    return {
        "name": "app",
        "major": 17,
        "memory_bytes": 1 << 30,
        "cpus": 1.0,
        "shm_bytes": 256 << 20,
        "pids_limit": 146,
        "bind_address": "127.0.0.1",
        "port": 5432,
        "network": "pgkeep",
        "stop_timeout_seconds": 120,
        "tuned": {"work_mem": "4MB"},
        "settings": {},
        "hba": [],
        "allowed_networks": ["samenet"],
        "clients": [{"service": "app", "database": "app", "user": "app", "password": "app-secret"}],
        "monitor_password": "monitor-secret",
        "tls": {"certificate": "CERT\n", "private_key": "KEY\n", "ca_certificate": "CA\n"},
        "backup": {
            "cipher_pass": "cipher-secret",
            "retention_days": 7,
            "options": {},
            "secret_options": {},
            "repositories": [],
        },
        "on_empty": "restore",
        "initdb_args": ["--locale=C.UTF-8"],
        "keeper": {},
        "keeper_secrets": {},
        "keeper_http": None,
        "keeper_memory_bytes": 512 << 20,
        "keeper_cpus": 1.0,
        "pooler": None,
        **more,
    }
