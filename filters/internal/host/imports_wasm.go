//go:build wasip1

package host

import (
	"errors"
	"unsafe"
)

// The host calls that the SDK lacks, or makes with copies that a request can be
// spared. A status of 0 is success.

//go:wasmimport env proxy_set_buffer_bytes
func proxySetBufferBytes(buffer, start, length int32, data unsafe.Pointer, size int32) int32

//go:wasmimport env proxy_set_property
func proxySetProperty(path unsafe.Pointer, pathSize int32, value unsafe.Pointer, valueSize int32) int32

//go:wasmimport env proxy_get_property
func proxyGetProperty(path unsafe.Pointer, pathSize int32, value, valueSize unsafe.Pointer) int32

//go:wasmimport wasi_snapshot_preview1 clock_time_get
func clockTimeGet(clock int32, precision int64, time unsafe.Pointer) int32

const (
	httpRequestBody = 0
	clockMonotonic  = 1
)

var errRefused = errors.New("refused by the host")

// spliceBuffer puts data in the place of the first length bytes of a buffer. The
// SDK can prepend to a buffer and replace all of it.
func spliceBuffer(buffer, length int, data []byte) error {
	if proxySetBufferBytes(int32(buffer), 0, int32(length), unsafe.Pointer(unsafe.SliceData(data)), int32(len(data))) != 0 {
		return errRefused
	}
	return nil
}

func setProperty(path, value string) error {
	if proxySetProperty(unsafe.Pointer(unsafe.StringData(path)), int32(len(path)),
		unsafe.Pointer(unsafe.StringData(value)), int32(len(value))) != 0 {
		return errRefused
	}
	return nil
}

// getProperty returns "" for what is absent. The bytes are the host's, written
// into memory that nobody else refers to.
func getProperty(path string) string {
	if proxyGetProperty(unsafe.Pointer(unsafe.StringData(path)), int32(len(path)),
		unsafe.Pointer(&returned.data), unsafe.Pointer(&returned.size)) != 0 {
		return ""
	}
	value := unsafe.String(returned.data, returned.size)
	returned.data = nil
	return value
}

// Monotonic returns nanoseconds of the host's monotonic clock, the same for all
// VMs of a process. Go's own monotonic readings count from the start of each VM,
// and the wall clock may jump.
func Monotonic() int64 {
	clockTimeGet(clockMonotonic, 0, unsafe.Pointer(&returned.time))
	return int64(returned.time)
}

// returned is where the host puts results. Variables of a function would be
// allocated anew for each call; a VM has one thread, and no host call that
// returns something runs inside another.
var returned struct {
	data *byte
	size int32
	time uint64
}
