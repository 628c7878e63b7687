#!/bin/sh
# Vendors Swagger UI: fills assets/swagger-ui from the npm package of the version below.
#
# For another version change the two lines below and run this. Nothing of the package is installed or run.
set -eu

version=5.35.0
integrity=U06rpMtW9V3XPGOBeamTUSr0Z09jMX4IJuANpE/EZbAhw0G8CgwrzU4YmXkn/h0wCDNsXdGarTNNHC3sU8yVUQ==

target=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)/assets/swagger-ui
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

npm pack --silent "swagger-ui-dist@$version" >/dev/null
found=$(openssl dgst -sha512 -binary "swagger-ui-dist-$version.tgz" | openssl base64 -A)
if [ "$found" != "$integrity" ]; then
    echo "swagger-ui-dist $version has the SHA-512 $found, expected was $integrity" >&2
    exit 1
fi
tar -xzf "swagger-ui-dist-$version.tgz"

mkdir -p "$target"
for file in swagger-ui-bundle.js swagger-ui.css; do
    gzip -9n <"package/$file" >"$target/$file.gz"
done
for file in LICENSE NOTICE swagger-ui-bundle.js.LICENSE.txt; do
    cp "package/$file" "$target/$file"
    chmod 644 "$target/$file"
done

cat >"$target/README.md" <<README
# Swagger UI $version

Parts of the npm package \`swagger-ui-dist\` $version, unchanged but for being compressed with \`gzip -9n\`. The server
sends them as they lie here.

- npm's integrity value: \`sha512-$integrity\`
- Licence: Apache 2.0 (\`LICENSE\`, \`NOTICE\`); that of what is bundled with it: \`swagger-ui-bundle.js.LICENSE.txt\`

Made by \`scripts/vendor-swagger-ui.sh\`, this file too.
README
