package presence

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/continuo-rt/continuo/internal/core/auth"
	"github.com/continuo-rt/continuo/internal/wire/token"
)

// guest is a connection that speaks the rooms protocol.
type guest struct {
	*tab
	session, secret string
	told            []string // transitions that it was told, as "user kind cause"
}

// visit connects a user to the rooms face.
func (w *world) visit(user string) *guest {
	w.Helper()
	bearer, err := token.Make(auth.Claims{App: "app", Subject: user, Expires: time.Now().Add(time.Hour),
		Rooms: []auth.RoomClaim{{Pattern: "*", Can: []string{"join", "presence"}}}}, "secret-of-the-presence-test")
	if err != nil {
		w.Fatal(err)
	}
	c, buffered, _, err := ws.Dial(w.Context(), fmt.Sprintf("ws%s/rooms?token=%s", strings.TrimPrefix(w.url, "http"), bearer))
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { _ = c.Close() }) // and until then nobody collects it, who would close it
	_ = c.SetDeadline(time.Now().Add(2 * time.Minute))
	g := &guest{tab: &tab{w, c, c}}
	if buffered != nil {
		g.in = buffered
	}
	g.greeted()
	return g
}

func (g *guest) greeted() {
	g.w.Helper()
	var hello struct {
		Session string `json:"session_id"`
		Secret  string `json:"session_secret"`
	}
	if err := json.Unmarshal([]byte(g.until(`"kind":"server.hello"`)), &hello); err != nil {
		g.w.Fatal(err)
	}
	g.session, g.secret = hello.Session, hello.Secret
}

func (g *guest) say(v map[string]any) {
	g.w.Helper()
	b, _ := json.Marshal(v)
	if err := ws.WriteFrame(g.c, ws.MaskFrame(ws.NewTextFrame(b))); err != nil {
		g.w.Fatal(err)
	}
}

// adopt makes the connection go on with the session of one before it.
func (g *guest) adopt(old *guest) *guest {
	g.w.Helper()
	g.say(map[string]any{"kind": "client.hello", "protocol_version": 1, "session_id": old.session, "session_secret": old.secret})
	if g.greeted(); g.session != old.session {
		g.w.Fatalf("the session is %s, want %s", g.session, old.session)
	}
	return g
}

// enter joins the lobby as a member, or as one who watches, and says who is there.
func (g *guest) enter(presence string) (members string) {
	g.w.Helper()
	g.say(map[string]any{"kind": "client.join", "room_id": "presence-lobby", "presence": presence})
	var joined struct {
		Members []struct {
			User string `json:"user_id"`
		}
	}
	if err := json.Unmarshal([]byte(g.until(`"kind":"room.joined"`)), &joined); err != nil {
		g.w.Fatal(err)
	}
	var users []string
	for _, m := range joined.Members {
		users = append(users, m.User)
	}
	return strings.Join(users, " ")
}

// hear reads until it was told of n transitions, and says which.
func (g *guest) hear(n int) string {
	g.w.Helper()
	for len(g.told) < n {
		var f struct{ Kind, User, Cause string }
		text := g.until(`"kind":"presence.`)
		if err := json.Unmarshal([]byte(strings.Replace(text, `"user_id"`, `"user"`, 1)), &f); err != nil {
			g.w.Fatal(err)
		}
		g.told = append(g.told, strings.TrimSpace(f.User+" "+strings.TrimPrefix(f.Kind, "presence.")+" "+f.Cause))
	}
	slices.Sort(g.told)
	return strings.Join(g.told, ", ")
}

// Members of the rooms face when the server is killed: who comes back in time, through the same face or another, was
// never away, and each of the others is taken out once.
func TestRoomMembersOnlineWhenTheServerIsKilled(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann, cyd := w.visit("ann"), w.visit("cyd")
	for _, g := range []*guest{ann, cyd, w.visit("ben"), w.visit("ben"), w.visit("dan")} { // ben has two tabs
		g.enter("enter")
	}
	w.join(2, "eve").until("subscription_succeeded")
	const everybody = "ann ben cyd dan eve"
	for range 2 { // the second time in the middle of the grace times
		w.kill()
		w.start()
		if got := w.visit("watcher").enter("watch"); got != everybody {
			t.Fatalf("within the grace time everybody is still there: %s", got)
		}
	}
	watcher := w.visit("watcher")
	watcher.enter("watch")
	if got := w.visit("ann").adopt(ann).enter("enter"); got != everybody { // the same session
		t.Fatal(got)
	}
	cydAgain := w.visit("cyd") // another session
	cydAgain.enter("enter")
	w.join(7, "eve").until("subscription_succeeded") // another face
	if got, want := watcher.hear(2), "ben left orphan_cleanup, dan left orphan_cleanup"; got != want {
		t.Fatalf("the watcher was told %q, want %q", got, want)
	}
	if got, want := cydAgain.hear(2), "ben left orphan_cleanup, dan left orphan_cleanup"; got != want {
		t.Fatalf("a member was told %q, want %q", got, want)
	}
	got := w.history()
	slices.Sort(got)
	want := []string{"ann member_added join", "ben member_added join", "ben member_removed orphan_cleanup", "cyd member_added join",
		"dan member_added join", "dan member_removed orphan_cleanup", "eve member_added join"}
	if !slices.Equal(got, want) {
		t.Fatalf("the history is %q, want %q", got, want)
	}
	if got := w.visit("fay").enter("enter"); got != "ann cyd eve fay" {
		t.Fatal(got)
	}
	if got := watcher.hear(3); !strings.Contains(got, "fay joined") {
		t.Fatalf("nothing but that: %q", got)
	}
}
