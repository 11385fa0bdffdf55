#!/bin/sh
# sabotage.sh [SWITCH...]: which tests notice that a safeguard is left out? Builds the core and
# its tests with each switch of csrc/sabotage.h in turn, in build/sabotage, and runs them all.
#
# A line for each says who noticed; the last tells how many were caught. The exit status is 0 if
# all were.
set -eu
cd "$(dirname "$0")/../.."
build=build/sabotage
switches=${*:-$(sed -nE 's/^    SABOTAGE_([A-Z_]+), .*/\1/p' csrc/sabotage.h)}
tried=0
missed=0

for switch in $switches; do
    cmake --preset debug -B "$build" --log-level=WARNING \
        -DCMAKE_C_FLAGS="-DASHM_DEBUG=1 -O1 -DASHM_SABOTAGE=$switch" >/dev/null
    cmake --build "$build" >/dev/null
    tried=$((tried + 1))
    # What hangs has failed.
    if ctest --test-dir "$build" >"$build/$switch.log" 2>&1; then
        echo "MISSED $switch"
        missed=$((missed + 1))
    else
        echo "caught $switch:" $(sed -n 's/^[[:space:]]*[0-9]* - \([^ ]*\).*/\1/p' "$build/$switch.log")
    fi
done
echo "$tried safeguards left out, $((tried - missed)) noticed"
[ "$tried" -gt 0 ] && [ "$missed" = 0 ]
