package disk

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// The folder holds:
//
//	FORMAT      what made the folder and in which version, with a checksum
//	server.pid  the process that has the store open
//	LOCK        locked while a process has the store open
//	*.synced    what is known of pebble's files, see note
//	store/      pebble's files
const (
	formatFile = "FORMAT"
	pidFile    = "server.pid"
	lockFile   = "LOCK"
	storeDir   = "store"

	formatName    = "continuo disk store"
	formatVersion = 1
)

func (s *Store) file(name string) string { return s.opt.FS.PathJoin(s.dir, name) }
func (s *Store) path() string            { return s.file(storeDir) }

// InUseError says that another process has the store open.
type InUseError struct {
	Dir string
	PID int // 0: unknown
}

func (e *InUseError) Error() string {
	who := "another process"
	if e.PID != 0 {
		who = "process " + strconv.Itoa(e.PID)
	}
	return fmt.Sprintf("the data folder %s is in use by %s; stop it first, or use another folder", e.Dir, who)
}

// claim takes the folder's lock and says whether the folder has yet to be made a store.
func (s *Store) claim() (fresh bool, err error) {
	fs := s.opt.FS
	if err := s.makeDir(); err != nil {
		return false, fmt.Errorf("the data folder cannot be made: %w", err)
	}
	lock, err := fs.Lock(s.file(lockFile))
	if err != nil {
		if pid := s.holder(); pid != 0 {
			return false, &InUseError{Dir: s.dir, PID: pid}
		}
		return false, errors.Join(&InUseError{Dir: s.dir}, err)
	}
	s.lock = lock
	if fresh, err = s.checkFormat(); err == nil {
		err = s.write(pidFile, []byte(strconv.Itoa(os.Getpid())+"\n"))
	}
	if err != nil {
		return false, errors.Join(err, lock.Close())
	}
	return fresh, nil
}

func (s *Store) unclaim() error {
	err := s.opt.FS.Remove(s.file(pidFile))
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, s.lock.Close())
}

func (s *Store) holder() int {
	b, err := s.read(pidFile)
	if err != nil {
		return 0
	}
	pid, _ := strconv.Atoi(strings.TrimSpace(string(b)))
	return pid
}

// checkFormat reads FORMAT. A folder without one is fresh only if it holds no store files either.
func (s *Store) checkFormat() (fresh bool, err error) {
	b, err := s.read(formatFile)
	if errors.Is(err, os.ErrNotExist) {
		return s.checkEmpty()
	}
	if err != nil {
		return false, fmt.Errorf("%s cannot be read: %w", s.file(formatFile), err)
	}
	var version int
	var sum uint32
	body, line, _ := strings.Cut(string(b), "\ncrc ")
	_, errV := fmt.Sscanf(body, formatName+" %d", &version)
	_, errS := fmt.Sscanf(line, "%08x\n", &sum)
	switch {
	case errV != nil || errS != nil || sum != crc32.ChecksumIEEE([]byte(body)):
		return false, &CorruptError{File: s.file(formatFile), Err: errors.New("it does not say what it should")}
	case version != formatVersion:
		return false, fmt.Errorf("the store in %s has format %d and this program reads format %d: use the program that made it",
			s.dir, version, formatVersion)
	}
	return false, nil
}

func (s *Store) checkEmpty() (fresh bool, err error) {
	names, err := s.opt.FS.List(s.path())
	if err != nil {
		return false, fmt.Errorf("%s cannot be read: %w", s.path(), err)
	}
	made := false
	for _, n := range names {
		made = made || strings.HasSuffix(n, ".sst") || strings.HasSuffix(n, ".log")
	}
	if !made {
		return true, nil
	}
	// The very first opening may have been cut short before it wrote FORMAT; then nothing was ever acknowledged, and the
	// store has no row but its epoch. Anything else is not ours to start over.
	empty, err := s.unused()
	if err != nil || !empty {
		return false, &CorruptError{File: s.file(formatFile), Err: errors.Join(
			errors.New("it is missing, but the folder holds a store"), err)}
	}
	if err := s.opt.FS.RemoveAll(s.path()); err != nil {
		return false, err
	}
	return true, nil
}

// unused reports whether a store holds nothing but facts.
func (s *Store) unused() (bool, error) {
	db, err := pebble.Open(s.path(), &pebble.Options{FS: newFence(s.opt.FS, s.path(), func(error) {}), Comparer: comparer, ReadOnly: true,
		FormatMajorVersion: pebble.FormatNewest, Logger: silent{}})
	if err != nil {
		return false, err
	}
	it, err := db.NewIter(nil)
	if err != nil {
		return false, errors.Join(err, db.Close())
	}
	empty := true
	for ok := it.First(); ok && empty; ok = it.Next() {
		empty = it.Key()[0] == tagStore
	}
	return empty, errors.Join(it.Close(), db.Close())
}

type silent struct{}

func (silent) Infof(string, ...any)  {}
func (silent) Errorf(string, ...any) {}
func (silent) Fatalf(string, ...any) {}

func (s *Store) writeFormat() error {
	body := fmt.Sprintf("%s %d", formatName, formatVersion)
	return s.write(formatFile, fmt.Appendf(nil, "%s\ncrc %08x\n", body, crc32.ChecksumIEEE([]byte(body))))
}

func (s *Store) read(name string) ([]byte, error) { return readFile(s.opt.FS, s.file(name)) }

func readFile(fs vfs.FS, path string) ([]byte, error) {
	f, err := fs.Open(path)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(f)
	return b, errors.Join(err, f.Close())
}

// write replaces a small file, durably: the new one is complete or the old one is there.
func (s *Store) write(name string, b []byte) error {
	fs, path := s.opt.FS, s.file(name)
	f, err := fs.Create(path+".new", vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	if _, err = f.Write(b); err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := fs.Rename(path+".new", path); err != nil {
		return err
	}
	return s.syncDir(s.dir)
}

// makeDir makes the folders, so that they are there after a power cut.
func (s *Store) makeDir() error {
	fs := s.opt.FS
	_, err := fs.Stat(s.path())
	if err == nil || !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := fs.MkdirAll(s.path(), 0o755); err != nil {
		return err
	}
	return errors.Join(s.syncDir(s.dir), s.syncDir(fs.PathDir(s.dir)))
}

func (s *Store) syncDir(dir string) error {
	d, err := s.opt.FS.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// CorruptError says which file is damaged. Nothing was changed.
type CorruptError struct {
	File string
	Err  error
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("the store is damaged and was not opened: %s: %v. Nothing was changed. Restore a backup, or copy what "+
		"can be read into a new folder with: continuo store repair", e.File, e.Err)
}

// Unwrap gives the cause.
func (e *CorruptError) Unwrap() error { return e.Err }

// explain turns an error of opening pebble into one that says what to do.
func (s *Store) explain(err error) error {
	var errno syscall.Errno
	if errors.Is(err, errStopped) || errors.As(err, &errno) && errno != syscall.ENOENT {
		return fmt.Errorf("the store in %s cannot be opened: %w", s.path(), err)
	}
	var d *damage
	if errors.As(plain(err), &d) {
		return &CorruptError{File: d.file, Err: errors.New(d.msg)}
	}
	return &CorruptError{File: s.path(), Err: err}
}
