// Package chat is the demonstration that development mode serves at /demo: a page that talks over the rooms protocol by
// the TypeScript library's built file, and shows what the protocol does.
package chat

import "embed"

//go:embed *.html *.css *.js
var files embed.FS

// Files are the page's files, index.html first of all.
func Files() embed.FS { return files }
