package disk

import (
	"bytes"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/continuo-rt/continuo/internal/core/stream"
)

// FuzzDecodeRows gives damaged rows to every decoder: decodeRow, decodeHeader, decodeIndex, decodeState and
// decodeRecord. What one accepts must come back the same from its encoder.
func FuzzDecodeRows(f *testing.F) {
	r := row{num: 7, ended: 3, swept: 2, due: 5, kept: true, Meta: stream.Meta{Extent: stream.Extent{Base: 1, Floor: 2, Head: 9}}}
	f.Add(appendRow(nil, &r))
	f.Add(appendHeader(nil, &header{Header: stream.Header{Message: 4, Row: 4, Last: 6, Version: 2}, chain: 3, base: 1}))
	f.Add(indexValue(nil, &stream.Entry{Kind: stream.Put, Message: 300}))
	f.Add(appendState(nil, &folded{row: 3, message: 2, live: true, state: []byte("state")}))
	f.Add([]byte{recordLive, 3, 'v'})
	f.Add([]byte{recordGone, 200, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := decodeRow(b); err == nil {
			again, err := decodeRow(appendRow(nil, &r))
			if err != nil || again != r {
				t.Errorf("row %+v came back as %+v, %v", r, again, err)
			}
		}
		if h, err := decodeHeader(b); err == nil {
			again, err := decodeHeader(appendHeader(nil, &h))
			if err != nil || again != h {
				t.Errorf("header %+v came back as %+v, %v", h, again, err)
			}
		}
		if kind, message, err := decodeIndex(b); err == nil {
			k, m, err := decodeIndex(indexValue(nil, &stream.Entry{Kind: kind, Message: message}))
			if err != nil || k != kind || m != message {
				t.Errorf("index %v %d came back as %v %d, %v", kind, message, k, m, err)
			}
		}
		if s, err := decodeState(1, b); err == nil {
			again, err := decodeState(1, appendState(nil, &s))
			if err != nil || again.row != s.row || again.message != s.message || again.live != s.live || !bytes.Equal(again.state, s.state) {
				t.Errorf("state %+v came back as %+v, %v", s, again, err)
			}
		}
		if k, err := decodeRecord(b); err == nil && k.version == 0 && k.current() != 0 {
			t.Errorf("record %+v", k)
		}
	})
}

// FuzzKeys checks that names survive the trip through a key, that keys of one stream order by serial, and that no
// damaged key is read as more than it is.
func FuzzKeys(f *testing.F) {
	f.Add("app", "channel", "key", uint64(5), []byte("Sxyz"))
	f.Add("0", "0", "0", uint64(5), []byte("S\xf80"))
	f.Add("", "", "", uint64(1<<63), []byte{tagIndex, 0, 0, 0, 0, 0, 0, 0, 1, 200})
	f.Fuzz(func(t *testing.T, app, channel, key string, serial uint64, raw []byte) {
		for _, log := range []stream.Log{stream.Messages, stream.Presence} {
			ref := stream.Ref{App: app, Channel: channel, Log: log}
			if got, ok := refOf(streamKey(nil, ref)); !ok || got != ref {
				t.Errorf("%+v came back as %+v", ref, got)
			}
		}
		if len(key) <= 200 {
			name := stream.KeySubject(key)
			k := subjectSerialKey(nil, tagIndex, 9, name, serial)
			if s, n, ok := splitSubject(k); !ok || s != name || n != serial {
				t.Errorf("%q %d came back as %q %d", name, serial, s, n)
			}
			if serial < 1<<64-1 && bytes.Compare(k, subjectSerialKey(nil, tagIndex, 9, name, serial+1)) >= 0 {
				t.Error("keys do not sort by serial")
			}
			if n := splitKey(k); n != len(subjectKey(nil, tagIndex, 9, name)) {
				t.Errorf("the prefix of %q has %d bytes", k, n)
			}
		}
		refOf(raw)
		splitSubject(raw)
		if n := splitKey(raw); n > len(raw) {
			t.Errorf("the prefix of %q has %d bytes", raw, n)
		}
	})
}

// FuzzManifest gives damaged manifests to the check, which must neither panic nor accept less than was synced.
func FuzzManifest(f *testing.F) {
	fs := vfs.NewMem()
	s := openT(f, "data", Options{FS: fs, SweepEvery: -1})
	if err := s.Close(); err != nil {
		f.Fatal(err)
	}
	name, synced := s.noted(manifestNote)
	b, err := readFile(fs, fs.PathJoin(s.path(), name))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b, uint16(synced))
	f.Add(b[:len(b)-3], uint16(0))
	f.Fuzz(func(t *testing.T, b []byte, synced uint16) {
		if checkManifest(b, int64(synced)) == nil && len(b) < int(synced) {
			t.Errorf("%d bytes of %d were accepted", len(b), synced)
		}
	})
}
