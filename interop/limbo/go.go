// The verdicts of Go's crypto/x509 on a corpus of x509-limbo: `go run go.go < limbo.json > results.json`.
package main

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"os"
	"runtime"
	"time"
)

type peerName struct{ Kind, Value string }

type testcase struct {
	ID            string    `json:"id"`
	Kind          string    `json:"validation_kind"`
	Trusted       []string  `json:"trusted_certs"`
	Intermediates []string  `json:"untrusted_intermediates"`
	Peer          string    `json:"peer_certificate"`
	Time          *string   `json:"validation_time"`
	Name          *peerName `json:"expected_peer_name"`
	Depth         *int      `json:"max_chain_depth"`
	Lists         []string  `json:"crls"`
}

type result struct {
	ID      string  `json:"id"`
	Actual  string  `json:"actual_result"`
	Context *string `json:"context"`
}

func certificate(text string) (*x509.Certificate, error) {
	block, _ := pem.Decode([]byte(text))
	return x509.ParseCertificate(block.Bytes)
}

func pool(texts []string) *x509.CertPool {
	certificates := x509.NewCertPool()
	for _, text := range texts {
		if certificate, err := certificate(text); err == nil {
			certificates.AddCert(certificate)
		}
	}
	return certificates
}

func judge(c testcase) (string, string) {
	if c.Depth != nil {
		return "SKIPPED", "limits on the depth are not supported by this API"
	}
	if len(c.Lists) > 0 {
		return "SKIPPED", "revocation lists are not supported by this API"
	}
	leaf, err := certificate(c.Peer)
	if err != nil {
		return "FAILURE", err.Error()
	}
	at, _ := time.Parse(time.RFC3339, "2026-11-22T09:05:57Z")
	if c.Time != nil {
		if at, err = time.Parse(time.RFC3339, *c.Time); err != nil {
			return "SKIPPED", err.Error()
		}
	}
	usage := x509.ExtKeyUsageServerAuth
	if c.Kind == "CLIENT" {
		usage = x509.ExtKeyUsageClientAuth
	}
	options := x509.VerifyOptions{
		Roots:         pool(c.Trusted),
		Intermediates: pool(c.Intermediates),
		CurrentTime:   at,
		KeyUsages:     []x509.ExtKeyUsage{usage},
	}
	if c.Name != nil && c.Name.Kind != "RFC822" {
		options.DNSName = c.Name.Value
	}
	if _, err := leaf.Verify(options); err != nil {
		return "FAILURE", err.Error()
	}
	return "SUCCESS", ""
}

func main() {
	var corpus struct {
		Testcases []testcase `json:"testcases"`
	}
	if err := json.NewDecoder(os.Stdin).Decode(&corpus); err != nil {
		panic(err)
	}
	results := []result{}
	for _, c := range corpus.Testcases {
		actual, context := judge(c)
		results = append(results, result{c.ID, actual, &context})
	}
	output := json.NewEncoder(os.Stdout)
	output.SetIndent("", " ")
	output.Encode(map[string]any{"version": 1, "harness": "crypto/x509 of " + runtime.Version(), "results": results})
}
