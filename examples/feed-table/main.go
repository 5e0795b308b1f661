// Command feed-table shows the demonstration feed as a live table in a terminal. It keeps what it knows, and the cursors
// that belong to it, in a file: stopped and started again, it goes on where it was.
//
//	continuo serve
//	continuo demo feed
//	go run ./examples/feed-table
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/continuo-rt/continuo/examples/feed-table/feed"
	"github.com/continuo-rt/continuo/examples/feed-table/table"
)

func main() {
	server := flag.String("url", "http://127.0.0.1:6001", "address of the server")
	key := flag.String("key", "app-key", "API key of the feed; in development mode the app's key will do")
	file := flag.String("state", "feed-table.json", "file that keeps the table and its cursors; empty: none")
	plain := flag.Bool("plain", false, "draw nothing; print the account as JSON at the end")
	length := flag.Duration("for", 0, "end after this time; 0: at Ctrl-C")
	flag.Parse()
	if err := run(*server, *key, *file, *plain, *length); err != nil {
		fmt.Fprintln(os.Stderr, "feed-table:", err)
		os.Exit(1)
	}
}

func run(server, key, file string, plain bool, length time.Duration) error {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	if length > 0 {
		ctx, cancel = context.WithTimeout(ctx, length)
		defer cancel()
	}
	t, err := table.Open(file)
	if err != nil {
		return err
	}
	client := feed.Client{URL: server, APIKey: key, Channels: table.Channels, Handler: t}
	done := make(chan error, 1)
	go func() { done <- client.Run(ctx) }()
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err = <-done:
			if saved := t.Save(file); err == nil {
				err = saved
			}
			if plain {
				_ = json.NewEncoder(os.Stdout).Encode(t.Account())
			} else {
				fmt.Print("\n")
			}
			return err
		case <-tick.C:
			if err := t.Save(file); err != nil {
				return err
			}
			if !plain {
				fmt.Print("\x1b[H\x1b[2J", t.Render())
			}
		}
	}
}
