#!/bin/sh
# Puts what crate adroit is built with and runs on into .mcnn/mujoco (or $MCNN_HOME/mujoco), about 35 MB from PyPI:
#   lib/       libmujoco.so, from the wheel mujoco
#   assets/    the scenes of the Adroit hand, from the wheel gymnasium-robotics
#   versions   the lines of python/requirements.txt that both came from
# Does nothing where they are there already. The folder is whole or not there.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
home=${MCNN_HOME:-$here/../.mcnn}

fail() {
    echo "get_mujoco.sh: $*" >&2
    exit 2
}

wanted=$(grep -E '^(mujoco|gymnasium-robotics)==' "$here/requirements.txt" | sed 's/ *#.*//' | sort -u)
whole() {
    [ "$(cat "$home/mujoco/versions" 2>/dev/null)" = "$wanted" ]
}
whole && exit 0

[ "$(uname -s)" = Linux ] || fail "the files are taken from the wheels for Linux; found $(uname -s)"
command -v python3 >/dev/null || fail "needs python3, which is not on the path"
mkdir -p "$home"
home=$(cd "$home" && pwd)
new=$(mktemp -d "$home/mujoco.XXXXXX")
trap 'rm -rf "$new"' EXIT
trap 'exit 130' INT TERM

echo "get_mujoco.sh: fetching" $wanted "into $home/mujoco" >&2
python3 -m venv "$new/venv" || fail "python3 cannot make a virtual environment (Debian: apt install python3-venv)"
# One by one, so that each has the platform's own wheel and nothing that it depends on.
for package in $wanted; do
    "$new/venv/bin/pip" download --quiet --disable-pip-version-check --no-deps --only-binary :all: \
        --dest "$new/wheels" "$package" || fail "PyPI did not give $package; its message is above"
done

python3 - "$new" "$(echo "$wanted" | sed -n 's/^mujoco==//p')" <<'PYTHON' || fail "the wheels do not contain the expected files"
import ctypes, pathlib, shutil, sys, zipfile

new, version = pathlib.Path(sys.argv[1]), sys.argv[2]
library = f"libmujoco.so.{version}"  # the name that programs linked with it ask for
parts = {"mujoco/" + library: "lib/" + library, "gymnasium_robotics/envs/assets/adroit_hand/": "assets/adroit_hand/"}
parts["gymnasium_robotics/envs/assets/LICENSE.md"] = "assets/LICENSE.md"
for wheel in (new / "wheels").glob("*.whl"):
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            for begin, place in parts.items():
                if name.startswith(begin) and not name.endswith("/"):
                    path = new / "mujoco" / (place + name[len(begin):])
                    path.parent.mkdir(parents=True, exist_ok=True)
                    with archive.open(name) as source, open(path, "wb") as target:
                        shutil.copyfileobj(source, target)
(new / "mujoco/lib/libmujoco.so").symlink_to(library)
loaded = ctypes.CDLL(str(new / "mujoco/lib/libmujoco.so"))
loaded.mj_versionString.restype = ctypes.c_char_p
found = loaded.mj_versionString().decode()
if found != version:
    sys.exit(f"libmujoco.so says that it is {found}, not {version}")
for task in ("door", "hammer", "pen", "relocate"):
    if not (new / f"mujoco/assets/adroit_hand/adroit_{task}.xml").is_file():
        sys.exit(f"there is no adroit_{task}.xml")
PYTHON

echo "$wanted" >"$new/mujoco/versions"
rm -rf "$home/mujoco" # of other versions, or incomplete
mv -T "$new/mujoco" "$home/mujoco" 2>/dev/null || whole || fail "$home/mujoco cannot be written"
if [ "$home/mujoco" != "$(cd "$here/.." && pwd)/.mcnn/mujoco" ]; then
    echo "get_mujoco.sh: to build with it: export MUJOCO_DYNAMIC_LINK_DIR='$home/mujoco/lib'" >&2
fi
