//go:build wasip1

package host

import (
	"errors"
	"unsafe"
)

// The SDK can prepend to and replace a whole buffer; the ABI can replace a
// prefix of it, which spares copying a large body through the VM.
//
//go:wasmimport env proxy_set_buffer_bytes
func proxySetBufferBytes(buffer int32, start int32, length int32, data unsafe.Pointer, size int32) int32

//go:wasmimport wasi_snapshot_preview1 clock_time_get
func clockTimeGet(clock int32, precision int64, time unsafe.Pointer) int32

const (
	httpRequestBody = 0
	clockMonotonic  = 1
)

var errSetBuffer = errors.New("refused by the host")

func setBuffer(buffer, start, length int, data []byte) error {
	if proxySetBufferBytes(int32(buffer), int32(start), int32(length), unsafe.Pointer(unsafe.SliceData(data)), int32(len(data))) != 0 {
		return errSetBuffer
	}
	return nil
}

// Monotonic returns nanoseconds of the host's monotonic clock, the same for all
// VMs of a process. Go's own monotonic readings count from the start of each VM,
// and the wall clock may jump.
func Monotonic() int64 {
	var now uint64
	clockTimeGet(clockMonotonic, 0, unsafe.Pointer(&now))
	return int64(now)
}
