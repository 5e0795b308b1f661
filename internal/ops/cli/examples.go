package cli

import (
	"fmt"
	"strings"
)

// examples lists command lines and what they are for, for help texts.
func examples(pairs ...string) string {
	var b strings.Builder
	b.WriteString("Examples:\n")
	for i := 0; i+1 < len(pairs); i += 2 {
		fmt.Fprintf(&b, "\n  # %s\n  %s\n", pairs[i+1], pairs[i])
	}
	return b.String()
}

// Help shows examples.
func (*serveCommand) Help() string {
	return "Flags, variables (CONTINUO_…) and the file say the same things, in this order of strength. SIGHUP reads file and variables again; " +
		"SIGTERM tells clients to reconnect, over the drain time, and ends.\n\n" + examples(
		"continuo serve", "development mode on 127.0.0.1:6001, data in ./continuo-data",
		"continuo serve --config /etc/continuo.yaml", "what a file says; write one with: continuo config init",
		"continuo serve --listen :6001 --app-id shop --app-key k --app-secret \"$SECRET\"", "one app for everyone who can reach this machine")
}

// Help shows examples.
func (publishCommand) Help() string {
	return examples(
		"continuo publish news hello '{\"a\":1}'", "one message",
		"continuo publish prices price '{\"p\":42}' --put BTC", "the newest value of a key",
		"tail -F app.log | continuo publish logs line --stdin", "each line as one message, through restarts of the server")
}

// Help shows examples.
func (subscribeCommand) Help() string {
	return examples(
		"continuo subscribe news", "what is published from now on",
		"continuo subscribe news scores --rewind 10", "the newest ten messages of each first",
		"continuo subscribe news --from 1041", "what was published after that serial, then live",
		"continuo subscribe orders --cursor-file orders.cursor >> orders.log", "every message once, over any number of runs",
		"continuo subscribe news --json -n 1 | jq .data", "the next message's data")
}

// Help shows examples.
func (configCheckCommand) Help() string {
	return examples("continuo config check /etc/continuo.yaml", "every fault with its line, and what to do about it")
}

// Help shows examples.
func (*configShowCommand) Help() string {
	return examples("continuo config show --config /etc/continuo.yaml --set", "what was set, and where")
}

// Help shows examples.
func (configInitCommand) Help() string {
	return examples("continuo config init", "write continuo.yaml with a random app", "continuo config init - | less", "only look at it")
}

// Help shows examples.
func (versionCommand) Help() string { return examples("continuo version --json", "for programs") }
