# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Another host for the second repository, on the instance's network, and people who hear of alerts: two containers.

Prints in JSON the repository as the inventory declares it, and where people are. argv: name of the network, an empty
folder, images of the server and of the keeper.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.integration.off_site import OffSite, docker

PORT = 15492
# Takes whatever is posted and says it in its log, an alert a line.
PEOPLE = """
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class People(BaseHTTPRequestHandler):
    def do_POST(self):
        print(self.rfile.read(int(self.headers["Content-Length"])).decode(), flush=True)
        self.send_response(204)
        self.end_headers()
ThreadingHTTPServer(("", 8080), People).serve_forever()
"""


def main() -> None:
    network, folder, server_image, keeper_image = sys.argv[1:]
    place = OffSite(network, Path(folder), server_image)
    place.make_keys()
    place.start_s3()
    # From the networks of the instance and of the monitoring alike.
    address = docker("network", "inspect", "--format", "{{(index .IPAM.Config 0).Gateway}}", "bridge")
    options = ["--detach", "--name=%s-people" % network, "--publish=%s:%d:8080" % (address, PORT)]
    docker("run", *options, "--entrypoint=python3", keeper_image, "-c", PEOPLE)
    print(json.dumps({"repository": place.s3_repository(2), "people": "http://%s:%d/" % (address, PORT)}))


if __name__ == "__main__":
    main()
