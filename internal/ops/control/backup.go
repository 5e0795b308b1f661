package control

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/continuo-rt/continuo/internal/core/fault"
)

// Backup is one line of the answer to a backup: progress, and at last what was done or why not.
type Backup struct {
	Bytes   int64   `json:"bytes"`
	Files   int     `json:"files"`
	Seconds float64 `json:"seconds"`
	Dir     string  `json:"dir,omitempty"` // of the last line
	Epoch   string  `json:"epoch,omitempty"`
	Error   string  `json:"error,omitempty"`
	Done    bool    `json:"done"`
}

// kept are the files of the data folder that belong to a backup beside the store.
var kept = []string{"app.json"}

// Kept names the files of a data folder that a backup holds beside the store.
func Kept() []string { return kept }

// backups writes a consistent copy of the store while it goes on being used.
func (s *Server) backups(w http.ResponseWriter, r *http.Request) {
	var asked struct {
		Dir string `json:"dir"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10)).Decode(&asked); err != nil {
		s.fail(w, fault.New(fault.Invalid, "the request is not JSON: %w", err))
		return
	}
	switch {
	case s.opts.Disk == nil:
		s.fail(w, fault.New(fault.Disabled, "the memory store keeps nothing: there is nothing to back up"))
		return
	case !filepath.IsAbs(asked.Dir):
		s.fail(w, fault.New(fault.Invalid, "dir must be an absolute path").In("dir"))
		return
	case !s.backup.CompareAndSwap(false, true):
		s.fail(w, fault.New(fault.Conflict, "another backup is under way: wait for it"))
		return
	}
	defer s.backup.Store(false)
	w.Header().Set("Content-Type", "application/x-ndjson")
	enc, out := json.NewEncoder(w), http.NewResponseController(w)
	began := time.Now()
	done := make(chan error, 1)
	go func() { done <- s.write(asked.Dir) }()
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			b := measure(asked.Dir)
			b.Seconds = time.Since(began).Seconds()
			_ = enc.Encode(b)
			_ = out.Flush()
		case err := <-done:
			b := measure(asked.Dir)
			b.Seconds, b.Dir, b.Done = time.Since(began).Seconds(), asked.Dir, true
			if err != nil {
				b = Backup{Error: err.Error(), Done: true}
			} else {
				b.Epoch = s.opts.Disk.Info().Epoch
				s.opts.Log.Info("a backup was written", "dir", b.Dir, "bytes", b.Bytes, "took", time.Since(began))
			}
			_ = enc.Encode(b)
			return
		}
	}
}

// write makes the copy.
func (s *Server) write(dir string) error {
	if err := s.opts.Disk.Checkpoint(dir); err != nil {
		return err
	}
	for _, name := range kept {
		if err := CopyKept(s.opts.Data, dir, name); err != nil {
			return err
		}
	}
	return nil
}

// CopyKept copies a file that only its owner may read, if it is there.
func CopyKept(from, to, name string) error {
	b, err := os.ReadFile(filepath.Join(from, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(to, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Sync(), f.Close())
}

func measure(dir string) (b Backup) {
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil // files come and go while the copy is made
		}
		if info, err := d.Info(); err == nil {
			b.Bytes += info.Size()
			b.Files++
		}
		return nil
	})
	return b
}

// fingerprint is what makes the same line of the same run the same publish.
func fingerprint(b []byte) (f [16]byte) {
	sum := sha256.Sum256(b)
	copy(f[:], sum[:])
	return f
}
