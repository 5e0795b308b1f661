package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/continuo-rt/continuo/internal/ops/client"
)

// cursorFile keeps the positions of channels from one run to the next: {"news":{"stream_id":"…","serial":42}}. It is
// replaced as a whole, so whoever reads it sees a state that was. A run that is killed may have printed what was published
// in the last saveEvery before it, and prints that again.
type cursorFile struct {
	path  string // empty: nothing is kept
	saved time.Time
}

// saveEvery is how often a stream of messages is noted.
const saveEvery = 50 * time.Millisecond

// load reads what is kept; a file that is not there yet keeps nothing.
func (f *cursorFile) load() (map[string]client.Cursor, error) {
	cursors := map[string]client.Cursor{}
	if f.path == "" {
		return cursors, nil
	}
	text, err := os.ReadFile(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return cursors, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &cursors)
	}
	if err != nil {
		return nil, fmt.Errorf("--cursor-file %s: %w; delete it to start anew", f.path, err)
	}
	return cursors, nil
}

// save notes the positions, unless it did so just now.
func (f *cursorFile) save(cursors map[string]client.Cursor) error {
	if f.path == "" || time.Since(f.saved) < saveEvery {
		return nil
	}
	return f.flush(cursors)
}

// flush notes the positions at once.
func (f *cursorFile) flush(cursors map[string]client.Cursor) error {
	if f.path == "" {
		return nil
	}
	text, err := json.Marshal(cursors)
	if err != nil {
		return err
	}
	temp, err := os.CreateTemp(filepath.Dir(f.path), filepath.Base(f.path)+".*")
	if err != nil {
		return fmt.Errorf("--cursor-file: %w", err)
	}
	_, err = temp.Write(append(text, '\n'))
	if err = errors.Join(err, temp.Close()); err == nil {
		err = os.Rename(temp.Name(), f.path)
	}
	if err != nil {
		return fmt.Errorf("--cursor-file: %w", errors.Join(err, os.Remove(temp.Name())))
	}
	f.saved = time.Now()
	return nil
}
