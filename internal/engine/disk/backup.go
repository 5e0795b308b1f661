package disk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/continuo-rt/continuo/internal/core/fault"
)

// Checkpoint writes a consistent copy of the running store into a folder that must not exist, without a pause: tables
// are linked where the file system allows it. The copy is restored with Restore, which gives it a new epoch.
func (s *Store) Checkpoint(dir string) error {
	l, err := s.use()
	if err != nil {
		return err
	}
	defer l.release()
	fs := s.opt.FS
	if _, err := fs.Stat(dir); err == nil {
		return fault.New(fault.Invalid, "the folder %s exists already", dir).In("dir")
	} else if !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := fs.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := l.db.Checkpoint(fs.PathJoin(dir, storeDir), pebble.WithFlushedWAL()); err != nil {
		return fmt.Errorf("the backup failed: %w", err)
	}
	to := &Store{dir: dir, opt: s.opt}
	if err := to.writeFormat(); err != nil {
		return err
	}
	return to.syncDir(fs.PathDir(dir))
}

// Progress is told what a long operation has done. done and total are bytes.
type Progress func(what string, done, total int64)

// Restore copies a backup into a folder that holds no store and gives the copy a new epoch, and so every stream a new
// id: clients that come back are told to fetch a fresh snapshot. It returns the epoch.
func Restore(ctx context.Context, from, to string, opt Options, progress Progress) (epoch string, err error) {
	opt = opt.withDefaults()
	fs := opt.FS
	src := &Store{dir: from, opt: opt}
	if fresh, err := src.checkFormat(); err != nil {
		return "", err
	} else if fresh {
		return "", fmt.Errorf("%s holds no backup", from)
	}
	dst := &Store{dir: to, opt: opt}
	for _, p := range []string{dst.file(formatFile), dst.path()} {
		if _, err := fs.Stat(p); err == nil {
			return "", fmt.Errorf("%s exists already: restore into a folder that holds no store", p)
		} else if !errors.Is(err, os.ErrNotExist) {
			return "", err
		}
	}
	if err := dst.makeDir(); err != nil {
		return "", err
	}
	if err := copyFiles(ctx, fs, src.path(), dst.path(), progress); err != nil {
		return "", err
	}
	// FORMAT comes last: a restore that was cut short is no store.
	if err := dst.writeFormat(); err != nil {
		return "", err
	}
	return renew(to, opt)
}

// renew gives a store a new epoch.
func renew(dir string, opt Options) (epoch string, err error) {
	opt.SweepEvery = -1
	s, err := Open(dir, opt)
	if err != nil {
		return "", err
	}
	epoch, err = s.NewEpoch()
	return epoch, errors.Join(err, s.Close())
}

func copyFiles(ctx context.Context, fs vfs.FS, from, to string, progress Progress) error {
	names, err := fs.List(from)
	if err != nil {
		return err
	}
	var total, done int64
	sizes := make(map[string]int64)
	for _, n := range names {
		info, err := fs.Stat(fs.PathJoin(from, n))
		if err != nil {
			return err
		}
		if !info.IsDir() && n != "LOCK" {
			sizes[n] = info.Size()
			total += info.Size()
		}
	}
	for _, n := range names {
		if _, ok := sizes[n]; !ok {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := copyFile(fs, fs.PathJoin(from, n), fs.PathJoin(to, n)); err != nil {
			return fmt.Errorf("copy %s: %w", n, err)
		}
		if done += sizes[n]; progress != nil {
			progress("copy", done, total)
		}
	}
	d, err := fs.OpenDir(to)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func copyFile(fs vfs.FS, from, to string) error {
	src, err := fs.Open(from, vfs.SequentialReadsOption)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := fs.Create(to, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = io.Copy(dst, src)
	if err == nil {
		err = dst.Sync()
	}
	return errors.Join(err, dst.Close())
}
