#!/bin/sh
# Packs the program that stands in a directory such as target/release into a Debian package, with the manual pages and the
# completions that it writes itself: scripts/build-deb.sh DIRECTORY
#
# Prints the package's path. Takes cargo-deb, which is built into target/cargo-deb if this version of it isn't there.
set -eu

version=3.8.0
built=$(cd "$1" && pwd)
cd "$(dirname "$0")/.."

cargo_deb=target/cargo-deb/bin/cargo-deb
if [ "$("$cargo_deb" --version 2>/dev/null)" != "cargo-deb $version" ]; then
    cargo install --quiet --locked --root target/cargo-deb --version $version cargo-deb >&2
fi

more=$built/deb
rm -rf "$more"
mkdir -p "$more"
"$built/ak-stages" man "$more/man"
gzip -9n "$more"/man/*
for shell in bash zsh fish; do
    "$built/ak-stages" completions "$shell" >"$more/ak-stages.$shell"
done

# cargo-deb looks for the program below the target directory.
CARGO_TARGET_DIR=$(dirname "$built") "$cargo_deb" --no-build --locked --quiet --output target/debian/
