#!/usr/bin/env bash
# Runs a command beside a server of its own, on an empty database: server.sh COMMAND [ARGUMENT…]
#
# The command finds the server's address in BASE, and in TOKEN, VIEWER_TOKEN and PLAIN_TOKEN the keys of a superuser, of
# a user who may view the four resources, and of one who may do nothing. See ../find-program for which program it is.
set -euo pipefail

program=$("$(dirname "${BASH_SOURCE[0]}")/../find-program")

free_port='import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
listen=127.0.0.1:$(python3 -c "$free_port")

# The database of a server that root starts belongs to another user, who has to get at it.
DATA_DIR=$(mktemp -d)
chmod 755 "$DATA_DIR"
export DATA_DIR
# shellcheck disable=SC2086 # names have no blanks
unset DATABASE_URL ${!AUTHENTIK_@}

export BASE=http://$listen
export TOKEN=clients-bootstrap-token
AUTHENTIK_LISTEN__HTTP=$listen AUTHENTIK_BOOTSTRAP_TOKEN=$TOKEN "$program" serve >"$DATA_DIR/log" 2>&1 &
server=$!
stop() {
    kill "$server" 2>/dev/null || true
    wait "$server" || true
    rm -rf "$DATA_DIR"
}
trap stop EXIT

for _ in {1..300}; do
    AUTHENTIK_LISTEN__HTTP=$listen "$program" healthcheck 2>/dev/null && break
    kill -0 "$server" 2>/dev/null || break
    sleep 0.1
done
AUTHENTIK_LISTEN__HTTP=$listen "$program" healthcheck || { echo "what the server said:" >&2; cat "$DATA_DIR/log" >&2; exit 1; }

"$program" user create plain
"$program" user create viewer
"$program" role create viewers
"$program" role grant viewers view_emailstage view_userwritestage view_invitationstage view_invitation
"$program" role assign viewers viewer
PLAIN_TOKEN=$("$program" token create plain)
VIEWER_TOKEN=$("$program" token create viewer)
export PLAIN_TOKEN VIEWER_TOKEN

"$@"
