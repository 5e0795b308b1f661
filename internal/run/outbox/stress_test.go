package outbox

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"
)

// TestStress puts frames from several sides at once, against a socket that takes what it likes: the socket must get
// exactly what was admitted, in the order of admission. A failure prints the seed; OUTBOX_SEED replays it.
func TestStress(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("OUTBOX_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	for round := range uint64(40) {
		stress(t, seed+round)
	}
}

// stressed is a session whose puts are written down.
type stressed struct {
	*session
	admitted bytes.Buffer // under the lock
	peak     int
}

func (s *stressed) put(put func([]byte) bool, frame []byte) bool {
	ok := put(frame)
	if ok {
		s.admitted.Write(frame)
	}
	s.peak = max(s.peak, s.Bytes())
	return ok
}

func (s *stressed) putTurn(frames [][]byte) {
	joined := bytes.Join(frames, nil)
	n := s.PutTurn(frames, joined)
	for _, f := range frames[:n] {
		s.admitted.Write(f)
	}
	s.peak = max(s.peak, s.Bytes())
	if n < len(frames) {
		s.Kick()
	}
}

func stress(t *testing.T, seed uint64) {
	const limit, largest = 2000, 3000
	random := rand.New(rand.NewPCG(seed, 0))
	sock := newSocket(random.IntN(5000))
	sock.blocks, sock.piece = random.IntN(3) == 0, random.IntN(2)*(1+random.IntN(700))
	s := &stressed{session: newSession(sock, limit)}
	pages := 0
	s.pump = func() bool {
		s.Lock()
		defer s.Unlock()
		pages++
		s.put(s.Put, fmt.Appendf(nil, "<page %d %s>", pages, bytesOf(pages*7%500)))
		return pages%3 != 0
	}
	var putters, reader sync.WaitGroup
	for i := range 4 {
		own := rand.New(rand.NewPCG(seed, uint64(i+1)))
		putters.Go(func() {
			for n := range 300 {
				frame := fmt.Appendf(nil, "<%d.%d %s>", i, n, bytesOf(own.IntN(100)))
				if own.IntN(100) == 0 {
					frame = append(frame, bytesOf(largest-200)...)
				}
				s.Lock()
				switch own.IntN(5) {
				case 0:
					s.put(s.PutControl, frame)
				case 1:
					s.putTurn([][]byte{frame, frame[:len(frame)/2], frame})
				default:
					if !s.put(s.Put, frame) {
						s.Kick()
					}
				}
				if own.IntN(3) > 0 {
					s.Flush()
				}
				s.Unlock()
			}
		})
	}
	stop := make(chan struct{})
	reader.Go(func() {
		own := rand.New(rand.NewPCG(seed, 9))
		for {
			select {
			case <-stop:
				sock.drain(-1)
				return
			default:
				sock.drain(own.IntN(4000))
			}
		}
	})
	putters.Wait()
	s.do(func() {
		s.Close([]byte("<close>"))
		s.admitted.WriteString("<close>")
	})
	close(stop)
	reader.Wait()
	if err := <-s.ended; err != nil {
		t.Fatalf("seed %d: ended with %v", seed, err)
	}
	if got, want := sock.received(), s.admitted.String(); got != want {
		t.Fatalf("seed %d: %d bytes of %d, the first %d of them right", seed, len(got), len(want), common(got, want))
	}
	if s.peak > largest+Reserve+limit {
		t.Errorf("seed %d: %d bytes queued", seed, s.peak)
	}
}

func common(a, b string) int {
	n := 0
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	return n
}

// discard takes everything.
type discard struct{}

func (discard) CanTryWrite() bool               { return true }
func (discard) TryWrite(p []byte) (int, error)  { return len(p), nil }
func (discard) WriteSome(p []byte) (int, error) { return len(p), nil }

func TestSharedFrameAllocatesNothing(t *testing.T) {
	s := newSession(discard{}, 1<<16)
	frame := bytesOf(200)
	turn := [][]byte{frame, frame, frame}
	joined := bytes.Join(turn, nil)
	for name, f := range map[string]func(){
		"one":  func() { s.Put(frame); s.Flush() },
		"turn": func() { s.PutTurn(turn, joined); s.Flush() },
	} {
		if n := testing.AllocsPerRun(1000, func() { s.do(f) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkPutFlush(b *testing.B) {
	frame := bytesOf(200)
	turn := [][]byte{frame, frame, frame, frame}
	joined := bytes.Join(turn, nil)
	for name, put := range map[string]func(*session){
		"one frame": func(s *session) { s.Put(frame) },
		"turn of 4": func(s *session) { s.PutTurn(turn, joined) },
		"4 one by one": func(s *session) {
			for _, f := range turn {
				s.Put(f)
			}
		},
	} {
		b.Run(name, func(b *testing.B) {
			s := newSession(discard{}, 1<<16)
			b.ReportAllocs()
			for b.Loop() {
				s.Lock()
				put(s)
				s.Flush()
				s.Unlock()
			}
		})
	}
}
