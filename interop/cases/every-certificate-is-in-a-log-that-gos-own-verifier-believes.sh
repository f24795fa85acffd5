#!/usr/bin/env bash
# Everything that is issued, the authority's own CAs and its server's certificate included, is in a log in the formats of C2SP: Go's own verifier of such logs (the one that guards its
# module downloads) believes the checkpoint, builds each proof from our tiles, and agrees with the proofs that we make. A
# certificate that the CA's key signed behind the authority's back is not in the log, and that convicts; so does a log that
# was put back to an older copy. A backup is made while the authority serves, and what is restored from it goes on.
# needs: go openssl curl
. "$(dirname "$0")/../lib.sh"

expect_success "$COUNTERSIGN" init --name "Logged" --key ed25519 --no-constraints
start_server "$COUNTERSIGN" ca serve --listen 127.0.0.1:0 --status-listen 127.0.0.1:0
mkdir early late after
wait_for_line "$SERVER_LOG" 'without TLS on http://127.0.0.1:[0-9]+'
log=$(grep -o -E 'http://127.0.0.1:[0-9]+' <<<"$LINE")/log
address=$(grep -o -E 'on 127.0.0.1:[0-9]+' "$SERVER_LOG" | head -n1 | cut -d' ' -f2)
serving=$SERVER_PID

for index in {1..5}; do expect_success "$COUNTERSIGN" issue client "early-$index" --out early; done
expect_success "$COUNTERSIGN" audit log checkpoint
printf '%s\n' "$STDOUT" >early.checkpoint
expect_success "$COUNTERSIGN" store backup backup.db
for index in {1..9}; do expect_success "$COUNTERSIGN" issue client "late-$index" --out late; done

# Our own reading of it: whole, grown, and each certificate proved with the root alone.
expect_success "$COUNTERSIGN" audit log verify --since early.checkpoint
expect_success "$COUNTERSIGN" audit log verify --since early.checkpoint --quick
expect_success "$COUNTERSIGN" audit prove late-9
expect_success "$COUNTERSIGN" audit prove early/early-1.pem --out early-1.tlog-proof
# So are the authority's own: its root, its issuing CA, the certificate that its server shows.
expect_success "$COUNTERSIGN" audit prove "$COUNTERSIGN_HOME/rootCA.pem" --out root.tlog-proof
expect_success "$COUNTERSIGN" audit log check root.tlog-proof "$COUNTERSIGN_HOME/rootCA.pem" --issuing late/late-9.pem
expect_failure 2 "$COUNTERSIGN" audit log check root.tlog-proof "$COUNTERSIGN_HOME/rootCA.pem"
assert_contains "$STDERR" "--issuing" "what a root's proof needs beside it"
expect_success "$COUNTERSIGN" audit prove "Logged Issuing CA" --out issuing.tlog-proof
awk '/BEGIN/ { n++ } n == 2' late/late-9.pem >issuing.pem
expect_success "$COUNTERSIGN" audit log check issuing.tlog-proof issuing.pem
openssl s_client -connect "$address" -showcerts </dev/null 2>/dev/null | sed -n '/BEGIN/,/END/p' >shown.pem
awk '/BEGIN/ { n++ } n == 1' shown.pem >server.pem
cp "$COUNTERSIGN_HOME/rootCA.pem" root.pem
expect_success "$COUNTERSIGN" audit log check late-9.tlog-proof late/late-9.pem --root "$COUNTERSIGN_HOME/rootCA.pem"
expect_failure 1 "$COUNTERSIGN" audit log check late-9.tlog-proof late/late-8.pem --root "$COUNTERSIGN_HOME/rootCA.pem"
assert_contains "$STDERR" "for another certificate" "a proof with another certificate"

# Go's verifier, from the sources of Go itself.
sumdb=$(go env GOROOT)/src/cmd/vendor/golang.org/x/mod/sumdb
mkdir -p verifier
cp -rL "$sumdb/note" "$sumdb/tlog" verifier/
# Older sources import Ed25519 from where it was before it came into Go itself.
sed -i "s,golang.org/x/crypto/ed25519,crypto/ed25519," verifier/note/note.go
cat >verifier/go.mod <<'MODULE'
module verifier

go 1.19
MODULE
cat >verifier/main.go <<'PROGRAM'
package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"

	"verifier/note"
	"verifier/tlog"
)

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func get(url string) []byte {
	response, err := http.Get(url)
	must(err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	must(err)
	if response.StatusCode != 200 {
		must(fmt.Errorf("%s: %s", url, response.Status))
	}
	return body
}

func certificates(file string) []*x509.Certificate {
	rest, err := os.ReadFile(file)
	must(err)
	var found []*x509.Certificate
	for block, rest := pem.Decode(rest); block != nil; block, rest = pem.Decode(rest) {
		certificate, err := x509.ParseCertificate(block.Bytes)
		must(err)
		found = append(found, certificate)
	}
	return found
}

// A checkpoint that the issuing CA signed: its size and root.
func checkpoint(text []byte, verifier note.Verifier) tlog.Tree {
	opened, err := note.Open(text, note.VerifierList(verifier))
	must(err)
	lines := strings.Split(opened.Text, "\n")
	size, err := strconv.ParseInt(lines[1], 10, 64)
	must(err)
	root, err := tlog.ParseHash(lines[2])
	must(err)
	return tlog.Tree{N: size, Hash: root}
}

type reader struct{ log string }

func (r reader) Height() int                           { return 8 }
func (r reader) SaveTiles(tiles []tlog.Tile, _ [][]byte) {}
func (r reader) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var read [][]byte
	for _, tile := range tiles {
		read = append(read, get(r.log+"/tile/"+strings.TrimPrefix(tile.Path(), "tile/8/")))
	}
	return read, nil
}

func main() {
	log, early, proofFile := os.Args[1], os.Args[2], os.Args[3]
	all := os.Args[4:]
	issuing := certificates(all[0])[1]
	origin := strings.SplitN(string(get(log+"/checkpoint")), "\n", 2)[0]
	key, err := note.NewEd25519VerifierKey(origin, issuing.PublicKey.(ed25519.PublicKey))
	must(err)
	verifier, err := note.NewVerifier(key)
	must(err)
	now := checkpoint(get(log+"/checkpoint"), verifier)
	hashes := tlog.TileHashReader(now, reader{log})

	// Every certificate is in it, once, as Go proves it from our tiles.
	places := map[int64]bool{}
	for _, file := range all {
		leaf := tlog.RecordHash(certificates(file)[0].Raw)
		found := int64(-1)
		for index := int64(0); index < now.N; index++ {
			proof, err := tlog.ProveRecord(now.N, index, hashes)
			must(err)
			if tlog.CheckRecord(proof, now.N, now.Hash, index, leaf) == nil {
				found = index
			}
		}
		if found < 0 || places[found] {
			must(fmt.Errorf("%s is at %d", file, found))
		}
		places[found] = true
	}

	// The log began as the earlier checkpoint says.
	text, err := os.ReadFile(early)
	must(err)
	before := checkpoint(text, verifier)
	growth, err := tlog.ProveTree(now.N, before.N, hashes)
	must(err)
	must(tlog.CheckTree(growth, now.N, now.Hash, before.N, before.Hash))

	// The proof that countersign wrote.
	text, err = os.ReadFile(proofFile)
	must(err)
	head, signed, _ := bytes.Cut(text, []byte("\n\n"))
	lines := strings.Split(string(head), "\n")
	index, err := strconv.ParseInt(strings.TrimPrefix(lines[1], "index "), 10, 64)
	must(err)
	var path tlog.RecordProof
	for _, line := range lines[2:] {
		var hash tlog.Hash
		octets, err := base64.StdEncoding.DecodeString(line)
		must(err)
		copy(hash[:], octets)
		path = append(path, hash)
	}
	then := checkpoint(signed, verifier)
	last := all[len(all)-1]
	must(tlog.CheckRecord(path, then.N, then.Hash, index, tlog.RecordHash(certificates(last)[0].Raw)))
	fmt.Printf("%d of %d certificates proved\n", len(places), now.N)
}
PROGRAM
expect_success env -C verifier GOFLAGS=-mod=mod GOCACHE="$PWD/gocache" GOPROXY=off go build -o ../verify .
expect_success ./verify "$log" early.checkpoint late-9.tlog-proof early/early-{1..5}.pem root.pem issuing.pem server.pem \
    "$COUNTERSIGN_HOME/admin.pem" late/late-{1..9}.pem
assert_contains "$STDOUT" "18 of" "what Go's verifier proved"
# One that a stolen root's key signed convicts as well.
openssl req -new -newkey ed25519 -noenc -keyout false-key.pem -subj "/CN=False Issuing CA" -out false.csr 2>/dev/null
printf 'basicConstraints=critical,CA:true,pathlen:0\nkeyUsage=critical,keyCertSign,cRLSign\n' >ca.cnf
openssl x509 -req -in false.csr -CA root.pem -CAkey "$COUNTERSIGN_HOME/keys/root-key.pem" -extfile ca.cnf -days 5 \
    -out false.pem 2>/dev/null
expect_failure 1 "$COUNTERSIGN" audit prove false.pem
assert_contains "$STDERR" "signature of 'Logged Root CA' and is NOT in its log" "a CA behind the authority's back"

# Signed with the CA's key, behind the authority's back: not in the log, and told as what it is.
openssl req -new -newkey ed25519 -noenc -keyout stolen-key.pem -subj "/CN=mallory" -out mallory.csr 2>/dev/null
sed -n '/BEGIN/,/END/p' early/early-1.pem | awk '/BEGIN/ { n++ } n == 2' >issuing.pem
openssl x509 -req -in mallory.csr -CA issuing.pem -CAkey "$COUNTERSIGN_HOME/keys/issuing-key.pem" -days 5 -out mallory.pem 2>/dev/null
expect_failure 1 "$COUNTERSIGN" audit prove mallory.pem
assert_contains "$STDERR" "NOT in its log" "a certificate behind the authority's back"

# An older copy put back: the checkpoint that was kept elsewhere convicts it.
expect_success "$COUNTERSIGN" audit log checkpoint
printf '%s\n' "$STDOUT" >last.checkpoint
stop_server "$serving"
mkdir old
mv "$COUNTERSIGN_HOME"/ca.db* old/
expect_success "$COUNTERSIGN" store restore backup.db
expect_failure 1 "$COUNTERSIGN" store restore backup.db
assert_contains "$STDERR" "already" "a second restore"
expect_success "$COUNTERSIGN" audit log verify --since early.checkpoint
expect_failure 1 "$COUNTERSIGN" audit log verify --since last.checkpoint
assert_contains "$STDERR" "older copy" "a log that became shorter"
# It goes on, with a list number behind every one that was used.
number() { openssl crl -in "$1" -noout -crlnumber | sed 's/.*=0*x*//i'; }
expect_success "$COUNTERSIGN" --store "sqlite:old/ca.db" crl --out old.pem
expect_success "$COUNTERSIGN" issue client after --out after
expect_success "$COUNTERSIGN" crl --out new.pem
[ "$((16#$(number new.pem)))" -gt "$((16#$(number old.pem)))" ] || fail "$(number new.pem) is no higher than $(number old.pem)"
