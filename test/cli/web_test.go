package cli

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// get makes one request on a connection of its own and prints the answer. Over TLS the name of the server's certificate
// is printed too; nothing is verified.
func get(ts *testscript.TestScript, neg bool, args []string) {
	transport := &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	header, method, body := http.Header{}, http.MethodGet, ""
	for len(args) > 2 {
		switch value := args[1]; args[0] {
		case "-H":
			name, text, _ := strings.Cut(value, ": ")
			header.Add(name, text)
		case "-d":
			method, body = http.MethodPost, value
		case "-unix":
			transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, "unix", ts.MkAbs(value))
			}
		default:
			ts.Fatalf("no such flag: %s", args[0])
		}
		args = args[2:]
	}
	if neg || len(args) != 1 {
		ts.Fatalf("usage: get [flags] URL")
	}
	req, err := http.NewRequest(method, args[0], strings.NewReader(body))
	ts.Check(err)
	req.Header = header
	res, err := (&http.Client{Transport: transport, Timeout: patience}).Do(req)
	if err != nil {
		fmt.Fprintf(ts.Stdout(), "failed: %v\n", err)
		return
	}
	defer res.Body.Close()
	fmt.Fprintf(ts.Stdout(), "%d\n", res.StatusCode)
	if res.TLS != nil {
		fmt.Fprintf(ts.Stdout(), "certificate of %s\n", res.TLS.PeerCertificates[0].Subject.CommonName)
	}
	_ = res.Header.Write(ts.Stdout())
	fmt.Fprintln(ts.Stdout())
	_, err = io.Copy(ts.Stdout(), res.Body)
	ts.Check(err)
}

// makeCertificate writes a certificate that signs itself.
func makeCertificate(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: certificate PREFIX NAME")
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ts.Check(err)
	about := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: args[1]},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{args[1]}}
	made, err := x509.CreateCertificate(rand.Reader, about, about, &key.PublicKey, key)
	ts.Check(err)
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	ts.Check(err)
	write := func(name, kind string, der []byte) {
		ts.Check(os.WriteFile(ts.MkAbs(name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
	}
	write(args[0]+".pem", "CERTIFICATE", made)
	write(args[0]+".key", "PRIVATE KEY", secret)
}
