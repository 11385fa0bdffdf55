#!/bin/sh
# sabotage.sh [SWITCH...]: break one safeguard of the core at a time, and see that a test
# fails. A switch is a macro ASHM_SABOTAGE_... in csrc; without arguments all are tried.
#
# The builds go to build/sabotage. The last line tells how many were caught; the exit status
# is 0 if all were.
set -eu
cd "$(dirname "$0")/../.."
build=build/sabotage
switches=${*:-$(grep -ho 'ASHM_SABOTAGE_[A-Z_]*' csrc/* | sort -u)}
tried=0
missed=0

for switch in $switches; do
    # Without warnings: a safeguard that is left out leaves variables unused.
    cmake --preset debug -B "$build" --log-level=WARNING \
        -DCMAKE_C_FLAGS="-DASHM_DEBUG=1 -O1 -w -D$switch" >/dev/null
    cmake --build "$build" >/dev/null
    tried=$((tried + 1))
    # One failure is enough, and what hangs has failed.
    if ctest --test-dir "$build" --stop-on-failure --timeout 60 >"$build/$switch.log" 2>&1; then
        echo "MISSED $switch"
        missed=$((missed + 1))
    else
        echo "caught $switch: $(sed -n 's/^[[:space:]]*[0-9]* - \([^ ]*\).*/\1/p' "$build/$switch.log")"
    fi
done
echo "$tried safeguards broken, $((tried - missed)) caught"
[ "$tried" -gt 0 ] && [ "$missed" = 0 ]
