#!/bin/sh
# Proves that the C and C++ library is robust. README.md, beside this, says what each step shows.
#
#     robustness.sh [-t SECONDS] [-n FRAMES] BUILD_FOLDER [STEP ...]
#
# STEP: valgrind, address, thread, memory, fuzz; all of them if none is named. -t: how long each fuzzer runs, 600 seconds
# unless said. -n: how many frames memory is watched over, 100000 unless said. BUILD_FOLDER: where builds and findings
# go. $CMAKE_PREFIX_PATH names OpenVINO's folder where CMake does not find it. Exits with 0 if nothing was found.
set -eu

seconds=600
frames=100000
while getopts t:n: option; do
    case $option in
        t) seconds=$OPTARG ;;
        n) frames=$OPTARG ;;
        *) exit 2 ;;
    esac
done
shift $((OPTIND - 1))
if [ $# -eq 0 ]; then
    echo "usage: robustness.sh [-t SECONDS] [-n FRAMES] BUILD_FOLDER [valgrind|address|thread|memory|fuzz ...]" >&2
    exit 2
fi
mkdir -p "$1"
build=$(cd "$1" && pwd)
shift
tests=$(cd "$(dirname "$0")" && pwd)
golden=$tests/golden
export TBB_ENABLE_SANITIZERS=1 # else it loads a part of itself in a way that no sanitizer allows

# Configure and build in a folder of its own: made NAME OPTION...
made() {
    folder=$build/$1
    shift
    cmake -S "$tests/.." -B "$folder" -DCMAKE_BUILD_TYPE=None -DRTSEG_PROGRAMS=OFF -DCMAKE_UNITY_BUILD=OFF \
        -DCMAKE_C_FLAGS="-O1 -g" -DCMAKE_CXX_FLAGS="-O1 -g" "$@" >"$folder.log" 2>&1 &&
        cmake --build "$folder" >>"$folder.log" 2>&1 || {
        tail -n 30 "$folder.log" >&2
        exit 1
    }
}

# Memory that is read before it is written, or lost. `hostile_use` is left to the sanitizers, as it takes too long here;
# `allocations` has a malloc of its own.
step_valgrind() {
    made plain -DRTSEG_TESTS=ON
    for test in "golden_ends" "golden_models openvino" "refusals openvino" "wrapper openvino" "threads openvino" \
        "hostile_files openvino"; do
        program=${test%% *}
        backend=${test#"$program"}
        # shellcheck disable=SC2086 # no backend is no argument
        valgrind --quiet --leak-check=full --error-exitcode=1 --suppressions="$tests/valgrind.supp" \
            "$build/plain/bin/$program" "$golden" $backend
    done
    valgrind --quiet --leak-check=full --error-exitcode=1 --suppressions="$tests/valgrind.supp" \
        "$build/plain/bin/broken_backends" "$golden" "$build/plain/broken"
}

step_address() {
    made address -DRTSEG_TESTS=ON -DRTSEG_SANITIZE=address,undefined
    (cd "$build/address" && ctest --output-on-failure --no-tests=error)
}

step_thread() {
    made thread -DRTSEG_TESTS=ON -DRTSEG_SANITIZE=thread
    (cd "$build/thread" && ctest --output-on-failure --no-tests=error)
}

# What a process holds after a tenth of the frames it holds at the end, to 1 in 100.
step_memory() {
    made plain -DRTSEG_TESTS=ON
    "$build/plain/bin/many_frames" "$golden" openvino "$frames" >"$build/memory"
    cat "$build/memory"
    awk '{ exit !($1 > 0 && $2 <= $1 * 1.01) }' "$build/memory"
}

# A fuzzer's corpus stays in BUILD_FOLDER/corpus and is gone on from. What it finds lies in BUILD_FOLDER.
step_fuzz() {
    made fuzz -DRTSEG_FUZZ=ON -DCMAKE_C_COMPILER=clang -DCMAKE_CXX_COMPILER=clang++
    for fuzzer in manifest onnx_bytes image api; do
        mkdir -p "$build/corpus/$fuzzer"
        case $fuzzer in
            manifest) files=$(ls "$golden"/*.onnx.json) ;;
            onnx_bytes) files=$(ls "$golden"/*.onnx) ;;
            *) files= ;; # any bytes are calls or frames
        esac
        for file in $files; do cp "$file" "$build/corpus/$fuzzer"; done
        LSAN_OPTIONS=suppressions="$tests/lsan.supp" "$build/fuzz/bin/fuzz_$fuzzer" "$build/corpus/$fuzzer" \
            -max_total_time="$seconds" -max_len=2048 -len_control=0 -rss_limit_mb=4096 -timeout=300 -print_final_stats=1 \
            -artifact_prefix="$build/$fuzzer-" >"$build/$fuzzer.log" 2>&1 || {
            tail -n 60 "$build/$fuzzer.log" >&2
            exit 1
        }
        echo "fuzz_$fuzzer: $(grep -E '^stat::number_of_executed_units' "$build/$fuzzer.log" | tr -s ' ')," \
            "$(grep -oE 'cov: [0-9]+ ft: [0-9]+' "$build/$fuzzer.log" | tail -n 1)"
    done
}

[ $# -gt 0 ] || set -- valgrind address thread memory fuzz
for step in "$@"; do
    case $step in
        valgrind | address | thread | memory | fuzz) ;;
        *)
            echo "unknown step; got $step; expected valgrind, address, thread, memory or fuzz" >&2
            exit 2
            ;;
    esac
    echo "== $step"
    "step_$step"
done
echo "nothing found"
