#!/bin/sh
# Installs PostgreSQL where the server needs one of its own and there is none.
#
# Does nothing if DATABASE_URL or AUTHENTIK_POSTGRESQL__HOST names a database, or if PostgreSQL 14 or later
# is found where the server itself looks for it (crates/embedded-postgres/src/installation.rs).
set -eu

oldest=14

say() {
    printf '%s\n' "$*" >&2
}

give_up() {
    say "$1"
    say "Install PostgreSQL $oldest or later by hand:"
    say "  Debian, Ubuntu:  sudo apt-get install -y postgresql"
    say "  Fedora:          sudo dnf install -y postgresql-server"
    say "  macOS:           brew install postgresql@17"
    say "or point at a server:  DATABASE_URL=postgres://user:password@host/db"
    exit 1
}

# Is there a supported PostgreSQL in directory $1?
usable() {
    for program in postgres initdb pg_ctl; do
        [ -x "$1/$program" ] || return 1
    done
    # "postgres (PostgreSQL) 15.20 (Debian 15.20-0+deb12u1)", "postgres (PostgreSQL) 18beta1"
    major=$("$1/postgres" --version | sed -n 's/^.*(PostgreSQL) \([0-9]*\).*$/\1/p')
    [ "${major:-0}" -ge "$oldest" ]
}

# Prints the directory of a supported PostgreSQL.
find_postgresql() {
    if [ -n "${PG_BIN_DIR:-}" ]; then
        usable "$PG_BIN_DIR" && printf '%s\n' "$PG_BIN_DIR"
        return
    fi
    for dir in /usr/lib/postgresql/*/bin /opt/homebrew/opt/*/bin /usr/local/opt/*/bin \
        /Applications/Postgres.app/Contents/Versions/*/bin /usr/pgsql-*/bin /usr/local/pgsql/bin; do
        usable "$dir" && printf '%s\n' "$dir" && return
    done
    postgres=$(command -v postgres) && usable "${postgres%/*}" && printf '%s\n' "${postgres%/*}"
}

# Sets $sudo to what has to stand before a command of root's.
become_root() {
    sudo=
    [ "$(id -u)" -eq 0 ] && return
    command -v sudo >/dev/null || give_up "Installing PostgreSQL takes root's rights, and there is no sudo."
    sudo=sudo
}

# Debian's package makes and starts a database of its own on port 5432, which nobody here needs.
without_debian_cluster() {
    config=/etc/postgresql-common/createcluster.conf
    [ -e "$config" ] && return
    say "Writing $config, so that the package starts no database of its own."
    $sudo mkdir -p "${config%/*}"
    echo 'create_main_cluster = false' | $sudo tee "$config" >/dev/null
}

install_postgresql() {
    if command -v apt-get >/dev/null; then
        become_root
        say "Installing PostgreSQL with apt-get."
        without_debian_cluster
        $sudo env DEBIAN_FRONTEND=noninteractive apt-get update -q
        $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -q postgresql
    elif command -v dnf >/dev/null; then
        become_root
        say "Installing PostgreSQL with dnf."
        $sudo dnf install -y postgresql-server
    elif command -v brew >/dev/null; then
        say "Installing PostgreSQL with brew."
        brew install postgresql@17
    else
        give_up "There is no apt-get, dnf or brew here to install PostgreSQL with."
    fi
}

if [ -n "${DATABASE_URL:-}${AUTHENTIK_POSTGRESQL__HOST:-}" ]; then
    exit 0
fi
if dir=$(find_postgresql); then
    say "PostgreSQL is in $dir."
    exit 0
fi
if [ -n "${PG_BIN_DIR:-}" ]; then
    give_up "There is no PostgreSQL $oldest or later in PG_BIN_DIR ($PG_BIN_DIR)."
fi
install_postgresql || give_up "The installation failed."
dir=$(find_postgresql) || give_up "The package manager's PostgreSQL is too old, or in a place unknown here."
say "PostgreSQL is in $dir."
