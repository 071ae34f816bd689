#!/bin/sh
# Copyright (c) 2026, the pgkeep maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Usage: writer.sh INSTANCE FILE
# Commits numbers one by one and appends each to FILE once the server has acknowledged it, until FILE.stop is there.
set -eu
number=$(($(wc -l < "$2") + 1))
while [ ! -e "$2.stop" ]; do
    # A number whose acknowledgement was lost may be there already.
    if docker exec "$1" psql -XAtq --set=ON_ERROR_STOP=1 --command="insert into acked values ($number) on conflict do nothing" app; then
        echo "$number" >> "$2"
        number=$((number + 1))
    else
        sleep 0.2
    fi 2>/dev/null
done
