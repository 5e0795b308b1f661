//go:build race

package disk

// raced says that the race detector makes everything ten times slower.
const raced = true
