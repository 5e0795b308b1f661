package serverapi

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"

	"github.com/continuo-rt/continuo/internal/core/app"
	"github.com/continuo-rt/continuo/internal/core/fault"
)

// Seal makes and checks cursors. A cursor that was not made with the same seal is refused, so what one says can be
// trusted: no client can point a read at what it was not shown.
type Seal struct{ key [sha256.Size]byte }

// NewSeal derives the seal of an app from one of its secrets.
func NewSeal(app, secret string) Seal {
	h := hmac.New(sha256.New, []byte(secret))
	h.Write([]byte("continuo cursors 1\x00" + app))
	var s Seal
	h.Sum(s.key[:0])
	return s
}

// AppSeal is what the cursors of an app are sealed with: it lasts as long as the app's first secret does, on every node and
// after every restart.
func AppSeal(a *app.App) Seal {
	secret := ""
	if len(a.Keys) > 0 { // without one nobody can ask
		secret = a.Keys[0].Secret
	}
	return NewSeal(a.ID, secret)
}

const (
	macBytes  = 16
	maxCursor = 4 << 10 // bytes of a cursor as it is written
)

// The kinds of cursors: the first byte of what is sealed.
const (
	historyCursor  = 1
	snapshotCursor = 2
)

func (s Seal) mac(b []byte) []byte {
	h := hmac.New(sha256.New, s.key[:])
	h.Write(b)
	return h.Sum(nil)[:macBytes]
}

func (s Seal) close(b []byte) string {
	return base64.RawURLEncoding.EncodeToString(append(b, s.mac(b)...))
}

// open gives what a cursor of a kind says.
func (s Seal) open(cursor string, kind uint64) (*fields, error) {
	if len(cursor) > maxCursor {
		return nil, fault.New(fault.Invalid, "the cursor has %d bytes, more than any that this server made", len(cursor)).In("cursor")
	}
	b, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil || len(b) <= macBytes {
		return nil, fault.New(fault.Invalid, "the cursor is damaged: use next_cursor as it was given").In("cursor")
	}
	b, mac := b[:len(b)-macBytes], b[len(b)-macBytes:]
	if subtle.ConstantTimeCompare(mac, s.mac(b)) != 1 {
		return nil, fault.New(fault.Invalid, "the cursor was not made by this server for this app, or was changed").In("cursor")
	}
	f := &fields{b: b}
	if f.num() != kind {
		return nil, fault.New(fault.Invalid, "the cursor belongs to another kind of listing").In("cursor")
	}
	return f, nil
}

// fields reads the parts of what was sealed, in order.
type fields struct {
	b   []byte
	bad bool
}

func (f *fields) num() uint64 {
	n, size := binary.Uvarint(f.b)
	if size <= 0 {
		f.bad, f.b = true, nil
		return 0
	}
	f.b = f.b[size:]
	return n
}

func (f *fields) text() string {
	n := f.num()
	if n > uint64(len(f.b)) {
		f.bad, f.b = true, nil
		return ""
	}
	s := string(f.b[:n])
	f.b = f.b[n:]
	return s
}

// done reports whether all was read and all was there.
func (f *fields) done() error {
	if f.bad || len(f.b) > 0 {
		return fault.New(fault.Invalid, "the cursor was made by another version of this server").In("cursor")
	}
	return nil
}

func appendField(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}
