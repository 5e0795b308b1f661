package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/continuo-rt/continuo/internal/ops/config"
)

// certify writes a certificate that signs itself.
func certify(t *testing.T, cert, key, name string) {
	t.Helper()
	secret, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	about := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, about, about, &secret.PublicKey, secret)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(secret)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: raw}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// A certificate is read again when its files change, without anybody being told; one that cannot be read leaves the old
// one in place, and is tried again when it changes again.
func TestCertificateFollowsItsFiles(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "c.pem"), filepath.Join(dir, "c.key")
	certify(t, cert, key, "first")
	c, err := loadCertificate(config.TLS{Cert: cert, Key: key}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	served := func() string {
		c.next = time.Time{} // it is time to look again
		got, err := c.get(nil)
		if err != nil {
			t.Fatal(err)
		}
		return got.Leaf.Subject.CommonName
	}
	later := time.Now()
	touch := func() { // the clocks of file systems are coarse
		later = later.Add(time.Second)
		for _, f := range []string{cert, key} {
			if err := os.Chtimes(f, later, later); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got := served(); got != "first" {
		t.Errorf("serves %s", got)
	}
	certify(t, cert, key, "second")
	touch()
	if got := served(); got != "second" {
		t.Errorf("serves %s after the files have changed", got)
	}
	if err := os.WriteFile(cert, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	touch()
	if got := served(); got != "second" {
		t.Errorf("serves %s after the file was broken", got)
	}
	certify(t, cert, key, "third")
	touch()
	if got := served(); got != "third" {
		t.Errorf("serves %s after the file was mended", got)
	}
	if err := c.renew(filepath.Join(dir, "none"), key); err == nil {
		t.Error("a file that is not there was taken")
	}
	var none *certificate
	if err := none.renew(cert, key); err != nil {
		t.Error(err)
	}
}
