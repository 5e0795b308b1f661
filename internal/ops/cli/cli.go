// Package cli is the command line of continuo: it parses arguments, runs one command, and answers with an exit code.
//
// Every command is a struct in a file of its own with a method Run(*Env) error; the grammar below lists them all.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/alecthomas/kong"
)

// Exit codes of the process.
const (
	ExitOK     = 0 // the command did what was asked
	ExitFailed = 1 // it was understood and failed
	ExitUsage  = 2 // the arguments were not understood
)

// Env is what a command may touch of the outside world. It exists so that a test can run a command inside its own process.
type Env struct {
	Context context.Context // ends at SIGINT or SIGTERM; commands that run for long must return soon after
	Stdin   io.Reader
	Stdout  io.Writer // results only
	Stderr  io.Writer // progress and errors
}

// grammar lists the commands. The order here is the order of the help text.
type grammar struct {
	Serve      serveCommand      `cmd:"" help:"Run the server."`
	Publish    publishCommand    `cmd:"" help:"Publish a message, or each line of standard input."`
	Subscribe  subscribeCommand  `cmd:"" help:"Print what is published into channels; resume after every disconnect."`
	Status     statusCommand     `cmd:"" help:"Say how a running server is."`
	Channels   channelsCommand   `cmd:"" help:"List the channels of a running server."`
	History    historyCommand    `cmd:"" help:"Print the messages that a channel keeps."`
	Presence   presenceCommand   `cmd:"" help:"Print who is, or was, in a presence channel."`
	Keys       keysCommand       `cmd:"" help:"Make, list and revoke API keys of the feed."`
	Export     exportCommand     `cmd:"" help:"Write what channels keep as NDJSON."`
	Import     importCommand     `cmd:"" help:"Append what an export holds."`
	Store      storeCommand      `cmd:"" help:"Back up, verify, repair or measure the embedded store."`
	Restore    restoreCommand    `cmd:"" help:"Bring a backup back."`
	Config     configCommand     `cmd:"" help:"Check, show, write or document a configuration."`
	Health     healthCommand     `cmd:"" help:"Ask a running server whether it is ready (for health checks)."`
	Demo       demoCommand       `cmd:"" help:"Play a demonstration into a running server."`
	Bench      benchCommand      `cmd:"" help:"Put load on a running server and measure it."`
	Completion completionCommand `cmd:"" help:"Print the script that completes command lines in a shell."`
	Complete   completeCommand   `cmd:"" hidden:"" help:"How the last of some words can go on."`
	Version    versionCommand    `cmd:"" help:"Print the version of this binary."`
}

func newGrammar() *grammar {
	return &grammar{Serve: serveCommand{settings: newSettings()}, Config: configCommand{Show: configShowCommand{settings: newSettings()}}}
}

// exit carries the code of a parse that wants to end the process (such as --help) up to Main.
type exit int

// Main runs one command line (without the name of the program) and returns the exit code of the process.
// When ctx ends, the running command is asked to stop in an orderly way.
func Main(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) (code int) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case exit:
			code = int(r)
		default:
			panic(r)
		}
	}()
	env := &Env{Context: ctx, Stdin: stdin, Stdout: stdout, Stderr: stderr}
	parser, err := newParser(env)
	if err != nil {
		fmt.Fprintf(stderr, "continuo: the command grammar is broken: %v\n", err)
		return ExitFailed
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	command, err := parser.Parse(args)
	if err != nil {
		fmt.Fprintf(stderr, "continuo: %v\n%s\n", err, usageHint(err))
		return ExitUsage
	}
	if err := command.Run(env); err != nil {
		fmt.Fprintf(stderr, "continuo: %v\n", err)
		return ExitFailed
	}
	return ExitOK
}

func newParser(env *Env) (*kong.Kong, error) {
	return kong.New(newGrammar(),
		kong.Name("continuo"),
		kong.Description("Realtime channels over a durable log: publish, subscribe, and resume without loss."),
		kong.Writers(env.Stdout, env.Stderr),
		kong.Exit(func(code int) { panic(exit(code)) }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
	)
}

// usageHint names the help text that is nearest to the mistake.
func usageHint(err error) string {
	var parse *kong.ParseError
	if errors.As(err, &parse) && parse.Context != nil {
		if command := parse.Context.Selected(); command != nil {
			return fmt.Sprintf("Try: continuo %s --help", command.Path())
		}
	}
	return "Try: continuo --help"
}
