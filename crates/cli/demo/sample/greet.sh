#!/bin/sh
# greet.sh [NAME]: prints a greeting.
name=${1:-world}
printf 'Hello, %s!\n' "$name"
