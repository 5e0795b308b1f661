package continuo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// Store keeps the position of each room: up to where its events were handled. A client calls Save for one position after
// another, never two at once, and may leave out those that were overtaken. What fails is reported to Options.OnError, and
// delivery goes on.
type Store interface {
	// Load returns the position of a room; false: there is none.
	Load(ctx context.Context, room string) (at Cursor, ok bool, err error)
	// Save replaces it.
	Save(ctx context.Context, room string, at Cursor) error
	// Delete forgets it.
	Delete(ctx context.Context, room string) error
}

// MemoryStore keeps positions as long as the process lives. It may be shared by clients, one after another.
type MemoryStore struct {
	mu sync.Mutex
	at map[string]Cursor
}

// NewMemoryStore makes an empty store.
func NewMemoryStore() *MemoryStore { return &MemoryStore{at: map[string]Cursor{}} }

// Load implements Store.
func (s *MemoryStore) Load(_ context.Context, room string) (Cursor, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, ok := s.at[room]
	return at, ok, nil
}

// Save implements Store.
func (s *MemoryStore) Save(_ context.Context, room string, at Cursor) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at[room] = at
	return nil
}

// Delete implements Store.
func (s *MemoryStore) Delete(_ context.Context, room string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.at, room)
	return nil
}

// FileStore keeps positions in a file of JSON, {"room":{"stream_id":"…","event_id":42}}. The file is written anew beside
// the old one, synced and renamed over it: a crash leaves the old or the new. Only one client may use it at a time.
type FileStore struct {
	path string
	mu   sync.Mutex
	at   map[string]Cursor // nil: not read yet
}

// NewFileStore makes a store that keeps its positions at path. The file need not be there.
func NewFileStore(path string) *FileStore { return &FileStore{path: path} }

// Load implements Store.
func (s *FileStore) Load(_ context.Context, room string) (Cursor, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.read(); err != nil {
		return Cursor{}, false, err
	}
	at, ok := s.at[room]
	return at, ok, nil
}

// Save implements Store.
func (s *FileStore) Save(_ context.Context, room string, at Cursor) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.read(); err != nil {
		return err
	}
	s.at[room] = at
	return s.write()
}

// Delete implements Store.
func (s *FileStore) Delete(_ context.Context, room string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.read(); err != nil {
		return err
	}
	delete(s.at, room)
	return s.write()
}

func (s *FileStore) read() error {
	if s.at != nil {
		return nil
	}
	text, err := os.ReadFile(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		s.at = map[string]Cursor{}
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading the cursors: %w", err)
	}
	at := map[string]Cursor{}
	if err := json.Unmarshal(text, &at); err != nil {
		return fmt.Errorf("the cursors in %s cannot be understood: %w", s.path, err)
	}
	s.at = at
	return nil
}

func (s *FileStore) write() error {
	text, err := json.Marshal(s.at)
	if err != nil {
		return err
	}
	side, err := os.CreateTemp(filepath.Dir(s.path), filepath.Base(s.path)+".*.tmp")
	if err != nil {
		return fmt.Errorf("writing the cursors: %w", err)
	}
	_, err = side.Write(text)
	err = errors.Join(err, side.Sync(), side.Close())
	if err == nil {
		err = os.Rename(side.Name(), s.path)
	}
	if err != nil {
		_ = os.Remove(side.Name())
		return fmt.Errorf("writing the cursors: %w", err)
	}
	return nil
}
