package disk

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/record"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// inspect looks for damage that pebble takes for the end of a file, or for the absence of a store: it would go on with
// what is left, and delete the rest.
func (s *Store) inspect() error {
	fs := s.opt.FS
	desc, err := pebble.Peek(s.path(), fs)
	if err != nil {
		return &CorruptError{File: s.path(), Err: err}
	}
	if !desc.Exists {
		return &CorruptError{File: s.path(), Err: errors.New("the marker file that names the manifest is missing")}
	}
	b, err := readFile(fs, desc.ManifestFilename)
	if err != nil {
		return &CorruptError{File: desc.ManifestFilename, Err: err}
	}
	name, synced := s.noted(manifestNote)
	if name != fs.PathBase(desc.ManifestFilename) {
		synced = 0
	}
	if err := checkManifest(b, synced); err != nil {
		return &CorruptError{File: desc.ManifestFilename, Err: err}
	}
	return s.checkLogs()
}

// checkManifest reads a manifest to its end. Each record was synced before anything relied on it, so the only damage
// that a crash explains is an incomplete last record, beyond what is known to have been synced.
func checkManifest(b []byte, synced int64) error {
	if int64(len(b)) < synced {
		return fmt.Errorf("it has %d bytes of the %d that were written", len(b), synced)
	}
	r := record.NewReader(bytes.NewReader(b), 0)
	for {
		at := r.Offset()
		rec, err := r.Next()
		if err == nil {
			_, err = io.Copy(io.Discard, rec)
		}
		switch {
		case err == nil:
		case err == io.EOF && at >= synced:
			return nil
		case at < synced, at < int64(len(b)) && !torn(b[at:]):
			return fmt.Errorf("the record at byte %d is damaged: %w", at, err)
		default:
			return nil
		}
	}
}

const manifestBlock = 32 << 10

// torn says whether the rest of a manifest can be a record that was being written when the power failed: its bytes end
// early, or zeros stand where the rest of it should be.
func torn(rest []byte) bool {
	if len(rest) < 7 || len(bytes.Trim(rest, "\x00")) == 0 {
		return true
	}
	if len(rest) >= manifestBlock {
		return false
	}
	if n := int(binary.LittleEndian.Uint16(rest[4:])); n+7 > len(rest) {
		return true
	}
	const page = 512
	return len(rest) >= page && len(bytes.Trim(rest[len(rest)-page:], "\x00")) == 0
}

// Beside pebble's files lie notes of what was synced: how much of the manifest, and a log that is still needed. A note of
// the manifest is not synced itself: after a power cut it says too little, never too much. A note of a log must not name
// one that is gone, so it is synced before that log goes.
const (
	manifestNote = "MANIFEST.synced"
	logNote      = "LOG.synced"
)

// note is about a file of pebble's.
func (f *fence) note(note, path string, size int64, sync bool) error {
	file, err := f.FS.OpenReadWrite(f.PathJoin(f.PathDir(f.PathDir(path)), note), vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	line := noteLine(f.PathBase(path), size)
	_, err = file.WriteAt(fmt.Appendf(nil, "%s %08x\n", line, crc32.ChecksumIEEE([]byte(line))), 0)
	if err == nil && sync {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}

func noteLine(name string, size int64) string { return fmt.Sprintf("%-32s %16d", name, size) }

// noteNextLog is called before a log goes: the oldest of those after it is there to stay for now.
func (f *fence) noteNextLog(path string) error {
	name, dir := f.PathBase(path), f.PathDir(path)
	if !strings.HasSuffix(name, ".log") {
		return nil
	}
	next := noLog
	logs := f.logs(dir)
	if i := slices.Index(logs, name); i >= 0 && i+1 < len(logs) {
		next = logs[i+1]
	}
	return f.note(logNote, f.PathJoin(dir, next), 0, true)
}

const noLog = "-"

// logs lists pebble's logs, oldest first: their numbers have leading zeros.
func (f *fence) logs(dir string) []string {
	names, err := f.List(dir)
	if err != nil {
		return nil
	}
	logs := slices.DeleteFunc(names, func(n string) bool { return !strings.HasSuffix(n, ".log") })
	slices.SortFunc(logs, func(a, b string) int { return cmp.Or(len(a)-len(b), strings.Compare(a, b)) })
	return logs
}

// noted reads a note, an empty name if there is none.
func (s *Store) noted(note string) (name string, size int64) {
	b, err := s.read(note)
	if err != nil {
		return "", 0
	}
	var sum uint32
	n, _ := fmt.Sscanf(string(b), "%s %d %08x\n", &name, &size, &sum)
	if n != 3 || crc32.ChecksumIEEE([]byte(noteLine(name, size))) != sum {
		return "", 0
	}
	return name, size
}

// checkLogs looks for the newest log, and for any: there always is one.
func (s *Store) checkLogs() error {
	fs := s.opt.FS
	names, err := fs.List(s.path())
	if err != nil {
		return &CorruptError{File: s.path(), Err: err}
	}
	if name, _ := s.noted(logNote); name != "" && name != noLog && !slices.Contains(names, name) {
		return &CorruptError{File: fs.PathJoin(s.path(), name), Err: errors.New("the log is missing")}
	}
	if !slices.ContainsFunc(names, func(n string) bool { return strings.HasSuffix(n, ".log") }) {
		return &CorruptError{File: s.path(), Err: errors.New("the log is missing")}
	}
	return nil
}
