package server_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/continuo-rt/continuo/sdk/go/server"
)

func Example() {
	ctx := context.Background()
	s := server.New("http://127.0.0.1:6001", "app-id", "app-key", "app-secret", server.Options{})
	at, err := s.Publish(ctx, "lobby", server.Message{Event: "news", Data: map[string]string{"title": "Hello"}})
	if err != nil {
		log.Fatal(err)
	}
	_, err = s.Mutate(ctx, "lobby", at.MessageSerial, server.Mutation{Op: server.Delete})
	if err != nil {
		log.Fatal(err)
	}
}

func ExampleServer_MintToken() {
	s := server.New("http://127.0.0.1:6001", "app-id", "app-key", "app-secret", server.Options{})
	token, err := s.MintToken(server.Claims{
		Subject: "ann",
		TTL:     time.Hour,
		Rooms:   []server.Grant{{Pattern: "lobby-*", Can: []string{"join", "send", "history"}}},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(token != "")
	// Output: true
}

func ExampleServer_History() {
	ctx := context.Background()
	s := server.New("http://127.0.0.1:6001", "app-id", "app-key", "app-secret", server.Options{})
	query := server.HistoryQuery{Limit: 100, Direction: server.OldestFirst}
	for {
		page, err := s.History(ctx, "lobby", query)
		if err != nil {
			log.Fatal(err)
		}
		for _, item := range page.Items {
			fmt.Println(item.Serial, string(item.Message.Data))
		}
		if !page.HasMore {
			return
		}
		query.Cursor = page.NextCursor
	}
}

func ExampleServer_PresenceAt() {
	s := server.New("http://127.0.0.1:6001", "app-id", "app-key", "app-secret", server.Options{})
	then, err := s.PresenceAt(context.Background(), "presence-lobby", server.Moment{AtTimeMS: time.Now().Add(-time.Hour).UnixMilli()})
	if err != nil {
		log.Fatal(err)
	}
	for _, member := range then.Members {
		fmt.Println(member.UserID, "was there an hour ago")
	}
}
