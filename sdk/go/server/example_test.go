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
	at, err := s.Publish(ctx, "lobby", server.Message{Name: "news", Data: map[string]string{"title": "Hello"}})
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
