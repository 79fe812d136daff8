#!/bin/sh
# test.sh: the project's checks.
set -eu

check() {
    want=$1
    shift
    got=$("$@")
    if [ "$got" = "$want" ]; then
        echo "ok    $*"
    else
        echo "FAIL  $*: wanted $want, got $got"
        exit 1
    fi
}

check 'Hello, world!' sh greet.sh
check 'Hello, Ada!' sh greet.sh Ada
check 'Goodbye, Ada!' sh farewell.sh Ada
