//go:build !unix

package ws

import "syscall"

// rawIO says that here connections are read and written by blocking calls only.
const rawIO = false

func readFD(uintptr, []byte) (int, error)  { return 0, syscall.EINVAL }
func writeFD(uintptr, []byte) (int, error) { return 0, syscall.EINVAL }
