// Command hello joins a room, says something, and prints what it hears until it is interrupted. Stop the server and start
// it again meanwhile: nothing is lost.
package main

import (
	"cmp"
	"context"
	"fmt"
	"log"
	"os"
	"os/signal"

	continuo "github.com/continuo-rt/continuo/sdk/go"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	client := continuo.New(cmp.Or(os.Getenv("CONTINUO_URL"), "http://127.0.0.1:6001"), continuo.Options{
		OnState:     func(s continuo.State) { log.Print(s.Describe()) },
		OnRoomState: func(room string, s continuo.RoomState) { log.Print(room, ": ", s.Describe()) },
	})
	client.Connect()
	defer client.Close(context.Background())
	lobby := client.Room("lobby")
	if err := lobby.Join(ctx, continuo.Join{Rewind: &continuo.Rewind{Count: 10}}); err != nil {
		log.Fatal(err)
	}
	if _, err := lobby.Send(ctx, continuo.Send{Text: "hello"}); err != nil {
		log.Fatal(err)
	}
	for event, err := range lobby.Events(ctx) {
		if err != nil {
			break
		}
		if event.Text != nil {
			fmt.Println(event.EventID, event.Sender, *event.Text)
		}
	}
}
