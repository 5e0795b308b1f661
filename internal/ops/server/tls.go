package server

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/continuo-rt/continuo/internal/ops/config"
)

// certificate is the certificate of the public listener. It is read again when its files change: a renewed one takes
// effect with the next handshake, one that cannot be read changes nothing.
type certificate struct {
	log *slog.Logger

	mu        sync.Mutex
	cert, key string // files
	current   *tls.Certificate
	stamp     [2]fileStamp // of the files that current, or the last failure, came from
	next      time.Time    // when the files are looked at again
}

// fileStamp changes when a file does.
type fileStamp struct {
	size int64
	time time.Time
}

// certificateEvery is how often the files are looked at, while there are handshakes.
const certificateEvery = 5 * time.Second

// loadCertificate reads the certificate; nil when none is configured.
func loadCertificate(c config.TLS, log *slog.Logger) (*certificate, error) {
	if c.Cert == "" {
		return nil, nil
	}
	t := &certificate{log: log}
	return t, t.renew(c.Cert, c.Key)
}

// renew reads the files now. A nil certificate has none; whether there is TLS at all does not change with a reload.
func (t *certificate) renew(cert, key string) error {
	if t == nil || cert == "" {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.read(cert, key)
}

// read is called with mu held.
func (t *certificate) read(cert, key string) error {
	t.stamp = [2]fileStamp{stampOf(cert), stampOf(key)}
	t.cert, t.key = cert, key
	made, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return fmt.Errorf("the certificate cannot be used: %w", err)
	}
	t.current = &made
	return nil
}

// get implements tls.Config.GetCertificate.
func (t *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if now := time.Now(); now.After(t.next) {
		t.next = now.Add(certificateEvery)
		if t.stamp != [2]fileStamp{stampOf(t.cert), stampOf(t.key)} {
			if err := t.read(t.cert, t.key); err != nil {
				t.log.Error("the changed certificate is not taken; the old one goes on", "err", err)
			} else {
				t.log.Info("the certificate was renewed", "file", t.cert)
			}
		}
	}
	return t.current, nil
}

func stampOf(file string) fileStamp {
	info, err := os.Stat(file)
	if err != nil {
		return fileStamp{}
	}
	return fileStamp{info.Size(), info.ModTime()}
}
