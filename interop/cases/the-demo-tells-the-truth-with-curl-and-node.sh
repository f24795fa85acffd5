#!/usr/bin/env bash
# `demo` ends with 0, with every visitor judged as it should be and with real curl and Node.js both ways; its JSON
# says the same; it leaves nothing behind, and is done in time.
# needs: curl node
. "$(dirname "$0")/../lib.sh"

expect_success "$COUNTERSIGN" demo
for word in alice nobody stranger certificate_required unknown_ca certificate_expired certificate_revoked curl Node.js; do
    assert_contains "$STDOUT" "$word" "the story"
done
# Printed for 80 columns.
longest=$(awk '{ if (length($0) > most) most = length($0) } END { print most + 0 }' <<<"$STDOUT")
[ "$longest" -le 80 ] || fail "the story has a line of $longest columns"
expect_success "$COUNTERSIGN" demo --json
node -e '
  const facts = JSON.parse(require("fs").readFileSync(".stdout", "utf8"));
  if (!facts.passed) throw new Error("not passed");
  if (facts.visitors.length < 6) throw new Error("too few visitors");
  for (const visitor of facts.visitors) if (!visitor.as_expected) throw new Error(JSON.stringify(visitor));
' || fail "the facts are not what they should be"
# Each visitor's handshake is a place in the page.
expect_success "$COUNTERSIGN" demo --html story.html
assert_file_mode 600 story.html
for number in 1 2 3 4 5 6; do
    assert_contains "$STDOUT" "story.html#c$number" "the story"
    grep -q "id=\"c$number\"" story.html || fail "the page has no place c$number"
done
for word in certificate_required unknown_ca certificate_expired certificate_revoked; do
    grep -q "$word" story.html || fail "the page does not say $word"
done
[ ! -e "$COUNTERSIGN_HOME" ] || fail "the demo made an authority in the person's home"
