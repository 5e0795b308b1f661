package disk

import (
	"errors"
	"os"
	"strings"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

var errFenced = errors.New("this opening of the store has ended")

// fence passes everything on to a file system until it is raised; from then on nothing can be changed through it. It
// lets a failed pebble be left behind, with goroutines that may still want to write, while a new one owns the folder.
type fence struct {
	vfs.FS
	mu     sync.RWMutex
	raised bool
}

// raise returns when no change is under way any more.
func (f *fence) raise() {
	f.mu.Lock()
	f.raised = true
	f.mu.Unlock()
}

func (f *fence) change(do func() error) error {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if f.raised {
		return errFenced
	}
	return do()
}

func (f *fence) file(open func() (vfs.File, error)) (file vfs.File, err error) {
	err = f.change(func() error {
		inner, err := open()
		if err == nil {
			file = &fencedFile{File: inner, fence: f}
		}
		return err
	})
	return file, err
}

// noting opens a file whose syncs are noted if it is pebble's manifest or log.
func (f *fence) noting(name string, open func() (vfs.File, error)) (vfs.File, error) {
	file, err := f.file(open)
	if err == nil {
		base := f.PathBase(name)
		if strings.HasPrefix(base, "MANIFEST-") || strings.HasSuffix(base, ".log") {
			file.(*fencedFile).noted = name
		}
	}
	return file, err
}

func (f *fence) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return f.noting(name, func() (vfs.File, error) { return f.FS.Create(name, c) })
}

func (f *fence) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return f.file(func() (vfs.File, error) { return f.FS.OpenReadWrite(name, c, opts...) })
}

func (f *fence) ReuseForWrite(oldname, newname string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return f.noting(newname, func() (vfs.File, error) {
		if err := f.noteNextLog(oldname); err != nil {
			return nil, err
		}
		return f.FS.ReuseForWrite(oldname, newname, c)
	})
}

func (f *fence) OpenDir(name string) (vfs.File, error) {
	return f.file(func() (vfs.File, error) { return f.FS.OpenDir(name) })
}

func (f *fence) Link(oldname, newname string) error {
	return f.change(func() error { return f.FS.Link(oldname, newname) })
}

func (f *fence) Remove(name string) error {
	return f.change(func() error {
		if err := f.noteNextLog(name); err != nil {
			return err
		}
		return f.FS.Remove(name)
	})
}

func (f *fence) RemoveAll(name string) error {
	return f.change(func() error { return f.FS.RemoveAll(name) })
}

func (f *fence) Rename(oldname, newname string) error {
	return f.change(func() error { return f.FS.Rename(oldname, newname) })
}

func (f *fence) MkdirAll(dir string, perm os.FileMode) error {
	return f.change(func() error { return f.FS.MkdirAll(dir, perm) })
}

// Unwrap lets pebble see the file system underneath.
func (f *fence) Unwrap() vfs.FS { return f.FS }

type fencedFile struct {
	vfs.File
	fence *fence
	noted string // the path of a manifest, or of a log that was not synced yet
	size  int64  // what was written
}

func (f *fencedFile) Write(p []byte) (n int, err error) {
	err = f.fence.change(func() (err error) { n, err = f.File.Write(p); return err })
	f.size += int64(n)
	return n, err
}

func (f *fencedFile) WriteAt(p []byte, off int64) (n int, err error) {
	err = f.fence.change(func() (err error) { n, err = f.File.WriteAt(p, off); return err })
	return n, err
}

func (f *fencedFile) Sync() error     { return f.synced(f.fence.change(f.File.Sync)) }
func (f *fencedFile) SyncData() error { return f.synced(f.fence.change(f.File.SyncData)) }

func (f *fencedFile) synced(err error) error {
	switch {
	case err != nil || f.noted == "":
	case strings.HasSuffix(f.noted, ".log"):
		err = f.fence.note(logNote, f.noted, 0, false)
		f.noted = ""
	default:
		err = f.fence.note(manifestNote, f.noted, f.size, false)
	}
	return err
}

func (f *fencedFile) SyncTo(length int64) (full bool, err error) {
	err = f.fence.change(func() (err error) { full, err = f.File.SyncTo(length); return err })
	return full, err
}

func (f *fencedFile) Preallocate(offset, length int64) error {
	return f.fence.change(func() error { return f.File.Preallocate(offset, length) })
}
