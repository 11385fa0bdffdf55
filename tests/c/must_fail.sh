#!/bin/sh
# must_fail.sh TEST [ARGUMENT...]: run a test that must fail, and say how it did.
"$@" 2>&1
status=$?
case $status in
0) echo "MISSED: it has passed"; exit 1 ;;
77) exit 77 ;;                # skipped
126 | 127) exit "$status" ;; # not even begun
*) echo "caught, status $status" ;;
esac
