#!/bin/sh
# PostgreSQL's server from Debian's package, for tests/data/test_postgres.py. Says what is missing and never fails.
for found in /usr/lib/postgresql/*/bin/initdb "$(command -v initdb)"; do
    [ -x "$found" ] && exit 0
done
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "Installing PostgreSQL's server for its tests (half a minute) ..."
    export DEBIAN_FRONTEND=noninteractive
    (apt-get update -qq && timeout 120 apt-get install -y -qq --no-install-recommends postgresql) >/dev/null 2>&1 && exit 0
fi
echo "PostgreSQL's server is not here: tests/data/test_postgres.py will fail. Debian: sudo apt-get install postgresql" >&2
exit 0
