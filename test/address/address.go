// Package address picks addresses for servers of tests that end and come back.
package address

import (
	"math/rand/v2"
	"net"
	"strconv"
)

// Free is a HOST:PORT of the loopback that nobody listens on. The port is none that systems give to those who ask for
// any, so nobody takes it while the server is away, and no other server answers its clients.
func Free() string {
	for {
		at := net.JoinHostPort("127.0.0.1", strconv.Itoa(10_000+rand.IntN(20_000)))
		if l, err := net.Listen("tcp", at); err == nil {
			_ = l.Close()
			return at
		}
	}
}
