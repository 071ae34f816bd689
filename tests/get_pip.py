# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stands in for the get-pip.py that ansible-test downloads: the pip that Python itself carries is good enough.

Called as get-pip.py is, with options and the packages to install. ensurepip runs in a process of its own because it
points PIP_CONFIG_FILE to nothing, and the machine's pip configuration (proxy, certificates) is needed afterwards.
"""

from __future__ import annotations

import subprocess
import sys

wanted = [word for word in sys.argv[1:] if not word.startswith("-")]
subprocess.run([sys.executable, "-m", "ensurepip"], check=True, stdout=subprocess.DEVNULL)
subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", *wanted], check=True)
