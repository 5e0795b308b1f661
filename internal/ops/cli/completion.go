package cli

import (
	_ "embed"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// completionCommand prints the script that makes a shell complete command lines.
type completionCommand struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

// Help shows examples.
func (completionCommand) Help() string {
	return examples(
		"source <(continuo completion bash)", "bash, this session; put it into ~/.bashrc for all",
		"continuo completion zsh > \"${fpath[1]}/_continuo\"", "zsh",
		"continuo completion fish > ~/.config/fish/completions/continuo.fish", "fish")
}

// Run prints it.
func (c completionCommand) Run(env *Env) error {
	_, err := io.WriteString(env.Stdout, map[string]string{"bash": bashScript, "zsh": zshScript, "fish": fishScript}[c.Shell])
	return err
}

// completeCommand is what the scripts ask: how the last of some words can go on.
type completeCommand struct {
	Words []string `arg:"" optional:"" passthrough:""`
}

// Run prints one candidate a line, with a description after a tab; ":files" and ":dirs" stand for names of files.
func (c completeCommand) Run(env *Env) error {
	parser, err := newParser(env)
	if err != nil {
		return err
	}
	words := c.Words
	if len(words) > 0 && words[0] == "--" {
		words = words[1:]
	}
	for _, one := range candidates(parser.Model.Node, words) {
		if _, err := fmt.Fprintln(env.Stdout, one); err != nil {
			return err
		}
	}
	return nil
}

// candidates are the ways to go on with the last word.
func candidates(node *kong.Node, words []string) []string {
	if len(words) == 0 {
		words = []string{""}
	}
	current := words[len(words)-1]
	args := 0
	var open *kong.Flag // the flag that the current word is the value of
	for _, word := range words[:len(words)-1] {
		switch child := childOf(node, word); {
		case open != nil:
			open = nil
		case strings.HasPrefix(word, "-"):
			if f := flagOf(node, word); f != nil && !f.IsBool() && !strings.Contains(word, "=") {
				open = f
			}
		case child != nil:
			node, args = child, 0
		default:
			args++
		}
	}
	switch {
	case open != nil:
		return values(open.Value, current)
	case strings.HasPrefix(current, "-"):
		return flagNames(node, current)
	case len(node.Children) > 0:
		return commands(node, current)
	case args < len(node.Positional):
		return values(node.Positional[args], current)
	case len(node.Positional) > 0 && node.Positional[len(node.Positional)-1].IsSlice():
		return values(node.Positional[len(node.Positional)-1], current)
	}
	return nil
}

func childOf(node *kong.Node, name string) *kong.Node {
	for _, c := range node.Children {
		if c.Name == name && !c.Hidden {
			return c
		}
	}
	return nil
}

func flagOf(node *kong.Node, word string) *kong.Flag {
	name, _, _ := strings.Cut(strings.TrimLeft(word, "-"), "=")
	for _, group := range node.AllFlags(false) {
		for _, f := range group {
			if f.Name == name || f.Short != 0 && string(f.Short) == name {
				return f
			}
		}
	}
	return nil
}

func commands(node *kong.Node, begin string) (all []string) {
	for _, c := range node.Children {
		if !c.Hidden && strings.HasPrefix(c.Name, begin) {
			all = append(all, c.Name+"\t"+c.Help)
		}
	}
	return all
}

func flagNames(node *kong.Node, begin string) (all []string) {
	for _, group := range node.AllFlags(true) {
		for _, f := range group {
			if name := "--" + f.Name; strings.HasPrefix(name, begin) {
				all = append(all, name+"\t"+f.Help)
			}
		}
	}
	slices.Sort(all)
	return all
}

// values are what a flag or an argument can be: one of a few words, or a file.
func values(v *kong.Value, begin string) (all []string) {
	for _, word := range v.EnumSlice() {
		if word != "" && strings.HasPrefix(word, begin) {
			all = append(all, word)
		}
	}
	if len(all) > 0 || v.Enum != "" {
		return all
	}
	name := strings.ToLower(v.Name + " " + v.Tag.PlaceHolder)
	for _, part := range []string{"dir", "folder", "backup", "data", "to"} {
		if slices.Contains(strings.Fields(name), part) {
			return []string{":dirs"}
		}
	}
	for _, part := range []string{"file", "config", "output", "cert", "key-file"} {
		if strings.Contains(name, part) {
			return []string{":files"}
		}
	}
	return nil
}

var (
	//go:embed completion/continuo.bash
	bashScript string
	//go:embed completion/continuo.zsh
	zshScript string
	//go:embed completion/continuo.fish
	fishScript string
)
