package outbox

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"
)

func TestSize(t *testing.T) {
	if size := unsafe.Sizeof(Outbox{}); size > 160 {
		t.Errorf("an outbox has %d bytes", size)
	}
}

func bytesOf(n int) []byte { return []byte(strings.Repeat("x", n)) }

func TestAdmission(t *testing.T) {
	s := newSession(newSocket(0), 100)
	s.Lock()
	defer s.Unlock()
	for i, step := range []struct {
		put   func([]byte) bool
		size  int
		want  bool
		bytes int
	}{
		{s.Put, 60, true, 60},
		{s.Put, 41, false, 60},
		{s.Put, 40, true, 100},
		{s.Put, 1, false, 100},
		{s.Put, 0, true, 100},
		{s.PutControl, Reserve, true, 100 + Reserve},
		{s.PutControl, 1, false, 100 + Reserve},
		{s.Put, 1, false, 100 + Reserve},
	} {
		if got := step.put(bytesOf(step.size)); got != step.want || s.Bytes() != step.bytes {
			t.Errorf("step %d: %t with %d bytes, want %t with %d", i, got, s.Bytes(), step.want, step.bytes)
		}
	}
	if s.Len() != 3 || s.Free() != 0 {
		t.Errorf("%d frames, %d bytes free", s.Len(), s.Free())
	}
}

func TestLargeFrameOnEmpty(t *testing.T) {
	s := newSession(newSocket(0), 100)
	s.Lock()
	defer s.Unlock()
	if !s.Put(bytesOf(5000)) {
		t.Error("a large frame was not admitted to an empty outbox")
	}
	if s.Put(bytesOf(1)) {
		t.Error("a second one was")
	}
	if !s.PutControl(bytesOf(Reserve)) || s.PutControl(bytesOf(1)) {
		t.Error("the reserve is not there on top of a large frame, or it is endless")
	}
}

func TestPutTurn(t *testing.T) {
	frames := [][]byte{bytesOf(40), bytesOf(40), bytesOf(40)}
	joined := bytesOf(120)
	for _, c := range []struct{ limit, before, want, bytes int }{
		{1000, 0, 3, 120},
		{120, 0, 3, 120},
		{119, 0, 2, 80},
		{79, 0, 1, 40},
		{10, 0, 1, 40}, // one is admitted to an empty outbox
		{120, 1, 2, 81},
		{40, 1, 0, 1},
	} {
		s := newSession(newSocket(0), c.limit)
		s.do(func() {
			s.Put(bytesOf(c.before))
			if got := s.PutTurn(frames, joined); got != c.want || s.Bytes() != c.bytes {
				t.Errorf("%+v: %d frames, %d bytes", c, got, s.Bytes())
			}
		})
	}
	s := newSession(newSocket(0), 10)
	s.do(func() {
		if s.PutTurn(nil, nil) != 0 || s.Len() != 0 {
			t.Error("an empty turn left something")
		}
	})
}

func TestFlushInline(t *testing.T) {
	sock := newSocket(-1)
	s := newSession(sock, 1000)
	s.do(func() {
		s.Put([]byte("one,"))
		s.Flush()
		s.Put([]byte("two,"))
		s.Put([]byte("three,"))
		s.Flush()
		s.Flush()
		if s.Bytes() != 0 || s.Len() != 0 || s.running {
			t.Errorf("%d bytes left, running %t", s.Bytes(), s.running)
		}
	})
	if sock.received() != "one,two,three," || sock.calls() != 2 {
		t.Errorf("%q in %d writes", sock.received(), sock.calls())
	}
}

func TestRemainder(t *testing.T) {
	for _, blocks := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			sock := newSocket(6)
			sock.blocks = blocks
			s := newSession(sock, 1000)
			s.do(func() {
				s.Put([]byte("one,"))
				s.Put([]byte("two,"))
				s.Flush()
			})
			synctest.Wait()
			s.do(func() {
				if s.Bytes() != 2 {
					t.Errorf("%d bytes left", s.Bytes())
				}
				s.Put([]byte("three,"))
				s.Flush()
			})
			synctest.Wait()
			if sock.received() != "one,tw" {
				t.Errorf("a full socket has %q", sock.received())
			}
			sock.drain(3)
			synctest.Wait()
			if sock.received() != "one,two,t" {
				t.Errorf("then %q", sock.received())
			}
			sock.drain(-1)
			synctest.Wait()
			s.do(func() {
				if s.running || s.Bytes() != 0 {
					t.Errorf("running %t with %d bytes", s.running, s.Bytes())
				}
			})
			if sock.received() != "one,two,three," {
				t.Errorf("at last %q", sock.received())
			}
		})
	}
}

func TestJoinedWrites(t *testing.T) {
	for _, blocks := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			sock := newSocket(0)
			sock.blocks = blocks
			s := newSession(sock, 1<<20)
			var want strings.Builder
			s.do(func() {
				for i := range 1000 {
					frame := fmt.Sprintf("frame %d,", i)
					want.WriteString(frame)
					if !s.Put([]byte(frame)) {
						t.Fatal("full")
					}
				}
				s.Flush()
			})
			synctest.Wait()
			sock.drain(-1)
			synctest.Wait()
			if sock.received() != want.String() {
				t.Error("not what was put")
			}
			if calls := sock.calls(); calls > 4 {
				t.Errorf("%d writes for %d bytes", calls, want.Len())
			}
			s.do(func() {
				if s.rest != nil {
					t.Errorf("an empty outbox keeps %d slots", cap(s.rest))
				}
			})
		})
	}
}

// A behind follower reads pages at the pace of the socket, and one goroutine does everything.
func TestPumpPaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sock := newSocket(0)
		s := newSession(sock, 100)
		const pages, page = 20, 50
		next := 0
		s.pump = func() bool {
			s.Lock()
			defer s.Unlock()
			if !s.Put([]byte(strings.Repeat(string(rune('a'+next)), page))) {
				t.Error("no room for a page of half the limit")
			}
			next++
			return next < pages
		}
		s.do(s.Kick)
		synctest.Wait()
		for i := range pages {
			s.do(func() {
				if s.Bytes() > 100 || s.pumps > i+2 {
					t.Errorf("after %d pages read: %d bytes queued, %d pumped", i, s.Bytes(), s.pumps)
				}
			})
			sock.drain(page)
			synctest.Wait()
		}
		s.do(func() {
			if s.running || s.pumps != pages {
				t.Errorf("running %t after %d pumps", s.running, s.pumps)
			}
		})
		var want strings.Builder
		for i := range pages {
			want.WriteString(strings.Repeat(string(rune('a'+i)), page))
		}
		if sock.received() != want.String() {
			t.Errorf("got %q", sock.received())
		}
	})
}

// A pump whose next frame does not fit is not called again before the socket has taken something.
func TestPumpDoesNotSpin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sock := newSocket(30)
		s := newSession(sock, 100)
		first := true
		s.pump = func() bool {
			s.Lock()
			defer s.Unlock()
			if first {
				first = false
				s.Put(bytesOf(50))
				return true
			}
			return !s.Put(bytesOf(90)) // fits an empty outbox alone
		}
		s.do(s.Kick)
		synctest.Wait() // would not return if it span
		s.do(func() {
			if s.pumps > 2 {
				t.Errorf("%d pumps against a stalled socket", s.pumps)
			}
		})
		sock.drain(-1)
		synctest.Wait()
		if n := len(sock.received()); n != 140 {
			t.Errorf("%d bytes", n)
		}
	})
}

// A pump that has nothing to put (all filtered) goes on; a Kick during a pump is not lost.
func TestPumpWithoutFrames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSession(newSocket(-1), 100)
		n := 0
		s.pump = func() bool {
			n++
			if n == 5 {
				s.do(s.Kick)
			}
			return n < 5
		}
		s.do(s.Kick)
		synctest.Wait()
		s.do(func() {
			if n != 6 || s.running {
				t.Errorf("%d pumps, running %t", n, s.running)
			}
		})
	})
}

// What is live is written although a pump waits for its store.
func TestFlushDuringPump(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sock := newSocket(10)
		s := newSession(sock, 100)
		store := make(chan struct{})
		s.pump = func() bool {
			<-store
			s.do(func() { s.Put([]byte("page,")) })
			return false
		}
		s.do(s.Kick)
		synctest.Wait()
		s.do(func() {
			s.Put([]byte("live,"))
			s.Flush()
			s.Put([]byte("another,"))
			s.Flush()
		})
		if sock.received() != "live,anoth" {
			t.Errorf("during the pump: %q", sock.received())
		}
		close(store)
		sock.drain(-1)
		synctest.Wait()
		if sock.received() != "live,another,page," {
			t.Errorf("after it: %q", sock.received())
		}
	})
}

func TestClose(t *testing.T) {
	for _, room := range []int{-1, 0, 3, 5} {
		for _, blocks := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				sock := newSocket(room)
				sock.blocks = blocks
				s := newSession(sock, 10)
				s.do(func() {
					s.Put([]byte("data,"))
					s.Close([]byte("close frame"))
					if s.Put([]byte("late")) || s.PutControl([]byte("late")) || s.PutTurn([][]byte{{1}}, []byte{1}) != 0 {
						t.Error("something was admitted after the close frame")
					}
					s.Close([]byte("another"))
					s.Kick()
				})
				synctest.Wait()
				sock.drain(-1)
				if err := <-s.ended; err != nil {
					t.Errorf("ended with %v", err)
				}
				if sock.received() != "data,close frame" {
					t.Errorf("got %q", sock.received())
				}
				s.do(func() {
					s.Fail(errBroken)
					s.Flush()
					s.Kick()
				})
				synctest.Wait()
			})
		}
	}
}

func TestEndsOnce(t *testing.T) {
	for name, c := range map[string]struct {
		room   int
		blocks bool
		act    func(*session, *socket)
		want   error
	}{
		"inline write fails":  {-1, false, func(s *session, k *socket) { k.fail(errBroken); s.Put(bytesOf(1)); s.Flush() }, errBroken},
		"waiting write fails": {0, false, func(s *session, k *socket) { s.Put(bytesOf(1)); s.Flush(); k.fail(errBroken) }, errBroken},
		"blocking fails":      {0, true, func(s *session, k *socket) { s.Put(bytesOf(1)); s.Flush(); k.fail(errBroken) }, errBroken},
		"write timeout":       {0, false, func(s *session, _ *socket) { s.Put(bytesOf(1)); s.Flush() }, os.ErrDeadlineExceeded},
		"blocking timeout":    {0, true, func(s *session, _ *socket) { s.Put(bytesOf(1)); s.Flush() }, os.ErrDeadlineExceeded},
		"close times out":     {3, false, func(s *session, _ *socket) { s.Close(bytesOf(10)) }, os.ErrDeadlineExceeded},
		"failed while idle":   {-1, false, func(s *session, _ *socket) { s.Fail(errBroken) }, errBroken},
		"failed without why":  {-1, false, func(s *session, _ *socket) { s.Fail(nil) }, ErrClosed},
		"failed while stalled": {0, false, func(s *session, k *socket) {
			s.Put(bytesOf(1))
			s.Flush()
			s.Fail(ErrClosed)
			k.fail(errBroken) // as the closed socket does
		}, ErrClosed},
		"failed while closing": {0, true, func(s *session, k *socket) {
			s.Close(bytesOf(1))
			s.Fail(ErrClosed)
			k.fail(errBroken)
		}, ErrClosed},
	} {
		synctest.Test(t, func(t *testing.T) {
			sock := newSocket(c.room)
			sock.blocks, sock.timeout = c.blocks, 30*time.Second
			s := newSession(sock, 100)
			began := time.Now()
			s.do(func() { c.act(s, sock) })
			if err := <-s.ended; !errors.Is(err, c.want) {
				t.Errorf("%s: %v", name, err)
			}
			if c.want == os.ErrDeadlineExceeded && time.Since(began) != sock.timeout {
				t.Errorf("%s: after %v", name, time.Since(began))
			}
			s.do(func() {
				if s.Put(bytesOf(1)) || s.Bytes() != 0 || !s.Ending() || s.front != nil || s.rest != nil {
					t.Errorf("%s: a failed outbox holds something", name)
				}
				s.Flush()
				s.Kick()
				s.Close(bytesOf(1))
			})
			synctest.Wait()
		})
	}
}

func TestEmptyCloseFrame(t *testing.T) {
	s := newSession(newSocket(-1), 10)
	s.do(func() { s.Close(nil) })
	if err := <-s.ended; err != nil {
		t.Error(err)
	}
}
