package continuo_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	continuo "github.com/continuo-rt/continuo/sdk/go"
	"github.com/continuo-rt/continuo/sdk/go/server"
)

func Example() {
	ctx := context.Background()
	client := continuo.New("http://127.0.0.1:6001", continuo.Options{
		Token: func(context.Context) (string, error) { return fetchToken() },
		Store: continuo.NewFileStore("cursors.json"),
	})
	client.Connect()
	defer client.Close(ctx)
	lobby := client.Room("lobby")
	if err := lobby.Join(ctx, continuo.Join{}); err != nil {
		log.Fatal(err)
	}
	var messages continuo.MessageList
	for event, err := range lobby.Events(ctx) {
		if err != nil {
			log.Fatal(err)
		}
		messages.Apply(event) // a snapshot, too, if one was needed
		fmt.Println(messages.Len(), "messages")
	}
}

func ExampleRoom_Send() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	client := continuo.New("http://127.0.0.1:6001", continuo.Options{})
	client.Connect()
	defer client.Close(ctx)
	room := client.Room("lobby")
	if err := room.Join(ctx, continuo.Join{Presence: "enter"}); err != nil {
		log.Fatal(err)
	}
	sent, err := room.Send(ctx, continuo.Send{Text: "hello"})
	if err != nil {
		log.Fatal(err)
	}
	_, err = room.Edit(ctx, sent.MessageID, continuo.Edit{Text: "hello!", IfVersion: sent.Version})
	var failure *continuo.Error
	if errors.As(err, &failure) && failure.Code == "conflict" {
		fmt.Println("somebody was faster; it has version", failure.Version)
	}
}

func ExampleRoom_OnEvent() {
	client := continuo.New("http://127.0.0.1:6001", continuo.Options{
		OnError: func(err error) { log.Print(err) },
		OnRoomState: func(room string, s continuo.RoomState) {
			fmt.Println(room, s.Describe()) // lobby resumed, 12 missed messages
		},
	})
	client.Room("lobby").OnEvent(func(_ context.Context, e *continuo.Event) error {
		fmt.Println(e.Kind, e.EventID)
		return nil // or an error, which is given to OnError
	})
	client.Connect()
}

func ExampleState_describe() {
	fmt.Println(continuo.State{State: "waiting", RetryInMS: 2400, Attempt: 3}.Describe())
	fmt.Println(continuo.RoomState{State: "live", Resumed: true, Missed: 12}.Describe())
	fmt.Println(continuo.RoomState{State: "snapshot", Reason: "window_exceeded"}.Describe())
	// Output:
	// reconnecting in 3 s
	// resumed, 12 missed messages
	// took a snapshot: window exceeded
}

// fetchToken asks the application's backend, which has made the token by server.MintToken.
func fetchToken() (string, error) {
	backend := server.New("http://127.0.0.1:6001", "app-id", "app-key", "app-secret", server.Options{})
	return backend.MintToken(server.Claims{Subject: "ann", Rooms: []server.Grant{{Pattern: "lobby", Can: server.Rights()}}})
}
