package config

import "strings"

// nearest is the word that was probably meant, or "" when none is near enough.
func nearest(word string, words []string) string {
	if len(word) > 64 {
		return "" // nobody meant that, and comparing it is slow
	}
	best, least := "", len(word)/3+2
	folded := fold(word)
	for _, w := range words {
		if d := distance(folded, fold(w)); d < least {
			best, least = w, d
		}
	}
	return best
}

// fold makes different habits of writing keys alike.
func fold(s string) string {
	return strings.ToLower(strings.NewReplacer("_", "", "-", "", ".", "").Replace(s))
}

// distance counts the insertions, deletions, replacements and swaps of neighbours that make a into b.
func distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}

// elsewhere knows keys that people bring along from other servers, by key name.
var elsewhere = map[string]string{
	"host":       "the address is one key: listen: HOST:PORT",
	"port":       "the address is one key: listen: HOST:PORT",
	"bind":       "the address is one key: listen: HOST:PORT",
	"debug":      "use log: {level: debug}, or mode: development",
	"secret":     "credentials are a list: keys: [{key: …, secret: …}]",
	"policies":   "channel policies are below channels",
	"namespaces": "channel policies are below channels, with a pattern such as \"news:*\"",
	"history":    "what the log keeps is below retention",
	"ttl":        "what the log keeps is below retention: {age: …}",
	"ssl":        "use tls: {cert: …, key: …}",
	"redis":      "this server keeps its log itself; see store",
	"webhooks":   "webhooks cannot be configured here",
}
