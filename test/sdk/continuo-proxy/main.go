// Command continuo-proxy stands between clients and a server in the tests of the client libraries, and lets connections
// fail as it is told over HTTP. With a pipe as its standard input it ends when that does, so that it does not outlive the
// test that started it.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"

	"github.com/continuo-rt/continuo/test/sdk/fault"
)

func main() {
	to := flag.String("to", "", "HOST:PORT of the server")
	seed := flag.Uint64("seed", 1, "what random faults are drawn from")
	flag.Parse()
	if err := run(*to, *seed); err != nil {
		fmt.Fprintln(os.Stderr, "continuo-proxy:", err)
		os.Exit(1)
	}
}

func run(to string, seed uint64) error {
	if _, _, err := net.SplitHostPort(to); err != nil {
		return fmt.Errorf("--to: %w", err)
	}
	p, err := fault.Listen(to, seed)
	if err != nil {
		return err
	}
	defer p.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen for control: %w", err)
	}
	line := map[string]string{"listen": p.Addr(), "control": "http://" + l.Addr().String()}
	if err := json.NewEncoder(os.Stdout).Encode(line); err != nil {
		return err
	}
	failed := make(chan error, 1)
	go func() { failed <- http.Serve(l, p.Control()) }()
	if in, err := os.Stdin.Stat(); err == nil && in.Mode()&(os.ModeNamedPipe|os.ModeSocket) != 0 {
		go func() {
			_, err := io.Copy(io.Discard, os.Stdin)
			failed <- err
		}()
	}
	return <-failed
}
