#!/usr/bin/env bash
# The released binary answers --version and --help on standard output, and refuses a command it does not have
# with exit code 2 and nothing on standard output.
# needs: nothing
. "$(dirname "$0")/../lib.sh"

expect_success "$COUNTERSIGN" --version
[[ $STDOUT =~ ^countersign\ [0-9]+\.[0-9]+\.[0-9]+ ]] || fail "--version printed '$STDOUT'"
assert_eq "" "$STDERR" "standard error of --version"

expect_success "$COUNTERSIGN" --help
assert_contains "$STDOUT" "countersign" "the help"
assert_eq "" "$STDERR" "standard error of --help"

expect_failure 2 "$COUNTERSIGN" no-such-command
assert_eq "" "$STDOUT" "standard output of a refused command"
assert_contains "$STDERR" "no-such-command" "the refusal"

# Asking changes nothing.
[ ! -e "$COUNTERSIGN_HOME" ] || fail "$COUNTERSIGN_HOME was made by a question"
