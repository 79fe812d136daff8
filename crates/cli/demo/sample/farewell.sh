#!/bin/sh
# farewell.sh [NAME]: prints a farewell.
name=${1:-world}
printf 'Goodbye, %s!\n' "$name"
