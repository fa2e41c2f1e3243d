//go:build !wasip1

package host

import (
	"errors"
	"time"
)

// The module runs as wasm only; natively this package compiles, for vet and
// lint, and does nothing.

const httpRequestBody = 0

var errNoHost = errors.New("no host outside wasm")

func spliceBuffer(int, int, []byte) error { return errNoHost }

func setProperty(string, string) error { return errNoHost }

func getProperty(string) string { return "" }

// Monotonic returns nanoseconds of the host's monotonic clock, the same for all
// VMs of a process.
func Monotonic() int64 { return int64(time.Since(started)) }

var started = time.Now()
