package disk

import (
	"errors"
	"io"
	"os"
	"strings"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// fence passes everything on to a file system until it is raised; from then on nothing can be changed through it, and
// every change seems to succeed. So a pebble whose write failed comes to its end, instead of trying for ever what cannot
// succeed, and touches nothing while the next one owns the folder.
//
// It raises itself when a change of a file fails that pebble cannot do without: its answer to such an error would be a
// panic that nothing can recover (a log that cannot be rotated), or an exit. failed is told first, so that what seems to
// succeed afterwards is never believed.
type fence struct {
	vfs.FS
	dir    string // of pebble's files; elsewhere errors are passed on
	failed func(error)
	mu     sync.RWMutex
	raised *vfs.MemFS // what was created since, nil before
}

func newFence(fs vfs.FS, dir string, failed func(error)) *fence {
	return &fence{FS: fs, dir: dir, failed: failed}
}

// raise returns when no change is under way any more.
func (f *fence) raise() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.raised == nil {
		f.raised = vfs.NewMem()
	}
}

func (f *fence) scratch() *vfs.MemFS {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.raised
}

// change does something to a file, unless the fence is raised.
func (f *fence) change(name string, do func() error) error {
	f.mu.RLock()
	if f.raised != nil {
		f.mu.RUnlock()
		return nil
	}
	err := do()
	f.mu.RUnlock()
	return f.judge(name, err)
}

// judge swallows an error that pebble does not survive, and ends the life for it. Tables are written again.
func (f *fence) judge(name string, err error) error {
	if err == nil || !strings.HasPrefix(name, f.dir) || strings.HasSuffix(name, ".sst") {
		return err
	}
	f.failed(err)
	f.raise()
	return nil
}

// create opens a file for writing, noting its syncs if it is pebble's manifest or log.
func (f *fence) create(name string, open func() (vfs.File, error)) (vfs.File, error) {
	var inner vfs.File
	err := f.change(name, func() (err error) { inner, err = open(); return err })
	if err != nil {
		return nil, err
	}
	if mem := f.scratch(); mem != nil {
		if inner != nil {
			inner.Close()
		}
		if err := mem.MkdirAll(f.PathDir(name), 0o755); err != nil {
			return nil, err
		}
		return mem.Create(name, vfs.WriteCategoryUnspecified)
	}
	file := &fencedFile{File: inner, fence: f, name: name}
	base := f.PathBase(name)
	file.noted = strings.HasPrefix(base, "MANIFEST-") || strings.HasSuffix(base, ".log")
	return file, nil
}

// Create implements vfs.FS.
func (f *fence) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return f.create(name, func() (vfs.File, error) { return f.FS.Create(name, c) })
}

// OpenReadWrite implements vfs.FS.
func (f *fence) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return f.create(name, func() (vfs.File, error) { return f.FS.OpenReadWrite(name, c, opts...) })
}

// ReuseForWrite implements vfs.FS.
func (f *fence) ReuseForWrite(oldname, newname string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return f.create(newname, func() (vfs.File, error) {
		if err := f.noteNextLog(oldname); err != nil {
			return nil, err
		}
		return f.FS.ReuseForWrite(oldname, newname, c)
	})
}

// OpenDir implements vfs.FS.
func (f *fence) OpenDir(name string) (vfs.File, error) {
	dir, err := f.FS.OpenDir(name)
	if err != nil {
		return nil, err
	}
	return &fencedFile{File: dir, fence: f, name: name}, nil
}

// Open implements vfs.FS.
func (f *fence) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	if mem := f.scratch(); mem != nil {
		if file, err := mem.Open(name, opts...); err == nil {
			return file, nil
		}
	}
	return f.FS.Open(name, opts...)
}

// Stat implements vfs.FS.
func (f *fence) Stat(name string) (vfs.FileInfo, error) {
	if mem := f.scratch(); mem != nil {
		if info, err := mem.Stat(name); err == nil {
			return info, nil
		}
	}
	return f.FS.Stat(name)
}

// Rename implements vfs.FS.
func (f *fence) Rename(oldname, newname string) error {
	return f.change(newname, func() error { return f.FS.Rename(oldname, newname) })
}

// attempt is a change that need not succeed: its error is passed on.
func (f *fence) attempt(do func() error) error {
	var err error
	if e := f.change("", func() error { err = do(); return nil }); e != nil {
		return e
	}
	return err
}

// Link implements vfs.FS.
func (f *fence) Link(oldname, newname string) error {
	return f.attempt(func() error { return f.FS.Link(oldname, newname) })
}

// Remove implements vfs.FS.
func (f *fence) Remove(name string) error {
	return f.attempt(func() error { return errors.Join(f.noteNextLog(name), f.FS.Remove(name)) })
}

// RemoveAll implements vfs.FS.
func (f *fence) RemoveAll(name string) error {
	return f.attempt(func() error { return f.FS.RemoveAll(name) })
}

// MkdirAll implements vfs.FS.
func (f *fence) MkdirAll(dir string, perm os.FileMode) error {
	return f.attempt(func() error { return f.FS.MkdirAll(dir, perm) })
}

// Lock locks nothing: the store holds the folder's lock for all its lives.
func (f *fence) Lock(string) (io.Closer, error) { return nopCloser{}, nil }

type nopCloser struct{}

func (nopCloser) Close() error { return nil }

// Unwrap lets pebble see the file system underneath.
func (f *fence) Unwrap() vfs.FS { return f.FS }

type fencedFile struct {
	vfs.File
	fence *fence
	name  string
	noted bool  // a manifest, or a log that was not synced yet
	size  int64 // what was written
}

func (f *fencedFile) change(do func() error) error { return f.fence.change(f.name, do) }

func (f *fencedFile) Write(p []byte) (n int, err error) {
	n = len(p)
	err = f.change(func() (err error) { n, err = f.File.Write(p); return err })
	if err == nil {
		n = len(p)
	}
	f.size += int64(n)
	return n, err
}

func (f *fencedFile) WriteAt(p []byte, off int64) (n int, err error) {
	n = len(p)
	err = f.change(func() (err error) { n, err = f.File.WriteAt(p, off); return err })
	if err == nil {
		n = len(p)
	}
	return n, err
}

func (f *fencedFile) Sync() error {
	return f.change(func() error { return f.synced(f.File.Sync()) })
}

func (f *fencedFile) SyncData() error {
	return f.change(func() error { return f.synced(f.File.SyncData()) })
}

// synced notes a sync. A note that cannot be written says too little, which is no harm.
func (f *fencedFile) synced(err error) error {
	switch {
	case err != nil || !f.noted:
	case strings.HasSuffix(f.name, ".log"):
		f.fence.note(logNote, f.name, 0, false)
		f.noted = false
	default:
		f.fence.note(manifestNote, f.name, f.size, false)
	}
	return err
}

func (f *fencedFile) SyncTo(length int64) (full bool, err error) {
	err = f.change(func() (err error) { full, err = f.File.SyncTo(length); return err })
	return full, err
}

// Preallocate only saves time.
func (f *fencedFile) Preallocate(offset, length int64) error {
	return f.change(func() error { f.File.Preallocate(offset, length); return nil })
}

func (f *fencedFile) Close() error { return f.fence.judge(f.name, f.File.Close()) }
