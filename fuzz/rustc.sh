#!/bin/sh
# A rustc that counts coverage, for libFuzzer, in the crates that are fuzzed and those they read with; in no others.
rustc=$1
shift
name=$(echo " $* " | sed -n 's/.* --crate-name \([^ ]*\) .*/\1/p')
case $name in
demonstrations | datasets | minari | recordings | expert | weights | ours | checkpoint | plan | results | mcnn | mcnn_cli | hdf5_reader | zip | zlib_rs | flate2 | safetensors | serde_json | toml | toml_parser | winnow)
    exec "$rustc" "$@" --cfg fuzzing -Cpasses=sancov-module -Ccodegen-units=1 \
        -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
        -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares
    ;;
*) exec "$rustc" "$@" ;;
esac
