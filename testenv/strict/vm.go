package strict

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/tetratelabs/wazero/api"
)

// status is what a host call returns (proxy-wasm ABI 0.2.0, proxy_status_t).
type status = uint32

const (
	ok                  status = 0
	notFound            status = 1
	badArgument         status = 2
	invalidMemoryAccess status = 6
	casMismatch         status = 8
	unimplemented       status = 12
)

// vm is one instance of the module with a memory of its own, as each of Envoy's
// workers has one. Whoever enters it holds mu; it is never entered twice at a
// time, except by the host for memory while it serves a host call.
type vm struct {
	host   *Host
	module api.Module
	ctx    context.Context
	mu     sync.Mutex
	failed error // the trap after which nothing runs in this VM any more

	allowed func(name string) bool // host calls that may be made at the moment; nil: all
	during  string                 // what restricts them

	plugins  map[pluginKey]*plugin
	filters  map[uint32]*filter
	lastID   uint32
	current  *filter // whose callback runs; nil in a root context
	root     *plugin // whose callback runs
	override *filter // proxy_set_effective_context

	metrics map[uint32]*metric
	nextID  [3]uint32 // of a metric, by type
	callee  map[string]api.Function

	line      string // of standard output or error, so far
	lastWords string // of the runtime before a trap
	polled    bool   // poll_oneoff was called in the current call
}

type vmKey struct{}

// mayInStart are the host calls that the module may make while it starts: to log,
// and all of WASI but these (proxy-wasm-cpp-host, src/wasm.cc startVm, as the
// names in Envoy 1.40's binary show it).
func mayInStart(name string) bool {
	if strings.HasPrefix(name, "proxy_") {
		return name == "proxy_log"
	}
	return !slices.Contains([]string{"fd_close", "fd_read", "fd_seek", "path_open", "proc_exit", "sched_yield"}, name)
}

// mayInMalloc are those it may make while the host asks it for memory
// (include/proxy-wasm/wasm.h, allocMemory; poll_oneoff since Envoy 1.39).
func mayInMalloc(name string) bool {
	return slices.Contains([]string{"proxy_log", "fd_write", "clock_time_get", "poll_oneoff"}, name)
}

var errFailed = errors.New("the VM has failed before")

// newVM instantiates and starts the module; no plugin runs in it yet.
func newVM(h *Host, wasm []byte) (*vm, error) {
	v := &vm{
		host:    h,
		plugins: map[pluginKey]*plugin{},
		filters: map[uint32]*filter{},
		metrics: map[uint32]*metric{},
		nextID:  [3]uint32{counter, gauge, histogram},
		callee:  map[string]api.Function{},
	}
	v.ctx = context.WithValue(context.Background(), vmKey{}, v)
	module, err := compiled.instantiate(v.ctx, wasm)
	if err != nil {
		return nil, err
	}
	v.module = module
	v.allowed, v.during = mayInStart, "_initialize"
	_, err = v.call("_initialize")
	v.allowed = nil
	if err != nil {
		return nil, errors.Join(err, v.close())
	}
	return v, nil
}

func (v *vm) close() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.failed == nil {
		v.failed = errors.New("the VM is closed")
	}
	return v.module.Close(context.Background())
}

// violate records a rule that the module broke.
func (v *vm) violate(format string, a ...any) { v.host.violate(format, a...) }

// call runs an exported function; one that the module does not export returns 0.
// A trap fails the VM for good. The caller holds mu.
func (v *vm) call(name string, params ...uint64) (uint32, error) {
	if v.failed != nil {
		return 0, errFailed
	}
	f := v.function(name)
	if f == nil {
		return 0, nil
	}
	results, err := f.Call(v.ctx, params...)
	if err != nil {
		v.failed = err
		v.violate("trap in %s: %s: %v", name, cmp.Or(v.lastWords, "no panic"), err)
		return 0, fmt.Errorf("%s: %w", name, err)
	}
	if v.polled {
		v.polled = false
		v.violate("wasi_snapshot_preview1.poll_oneoff called in %s: a timer or a sleep is in use", name)
	}
	if v.failed != nil { // in the host's request for memory
		return 0, errFailed
	}
	if len(results) == 0 {
		return 0, nil
	}
	return uint32(results[0]), nil
}

// function is what the module exports under a name, nil if nothing.
func (v *vm) function(name string) api.Function {
	f, known := v.callee[name]
	if !known {
		f = v.module.ExportedFunction(name)
		v.callee[name] = f
	}
	return f
}

// callRoot runs a callback of a plugin's root context.
func (v *vm) callRoot(p *plugin, name string, params ...uint64) (uint32, error) {
	saved := v.root
	v.root = p
	defer func() { v.root, v.override = saved, nil }()
	return v.call(name, params...)
}

// callFilter runs a callback of a stream's context.
func (v *vm) callFilter(f *filter, name string, params ...uint64) (uint32, error) {
	v.current = f
	defer func() { v.current, v.override = nil, nil }()
	return v.callRoot(f.plugin, name, params...)
}

// active is the stream context that host calls act on, nil in a root context.
func (v *vm) active() *filter {
	if v.override != nil {
		return v.override
	}
	return v.current
}

// bytes copies size bytes of the module's memory. A copy, since anything that
// enters the VM may move its memory.
func (v *vm) bytes(ptr, size uint32) ([]byte, bool) {
	view, inside := v.module.Memory().Read(ptr, size)
	if !inside {
		return nil, false
	}
	return append([]byte(nil), view...), true
}

func (v *vm) string(ptr, size uint32) (string, bool) {
	view, inside := v.module.Memory().Read(ptr, size)
	return string(view), inside
}

// put writes 32 bits at ptr.
func (v *vm) put(ptr, value uint32) bool { return v.module.Memory().WriteUint32Le(ptr, value) }

// give hands data to the module in memory that the module allocates, and writes
// where and how much. Nothing is allocated for nothing.
func (v *vm) give(data []byte, ptrOut, sizeOut uint32) status {
	var ptr uint32
	if len(data) > 0 {
		var err error
		if ptr, err = v.malloc(uint32(len(data))); err != nil {
			return invalidMemoryAccess
		}
		if ptr == 0 || !v.module.Memory().Write(ptr, data) {
			return invalidMemoryAccess
		}
	}
	if !v.put(ptrOut, ptr) || !v.put(sizeOut, uint32(len(data))) {
		return invalidMemoryAccess
	}
	return ok
}

func (v *vm) malloc(size uint32) (uint32, error) {
	savedAllowed, savedDuring := v.allowed, v.during
	v.allowed, v.during = mayInMalloc, "malloc"
	defer func() { v.allowed, v.during = savedAllowed, savedDuring }()
	return v.call("proxy_on_memory_allocate", uint64(size))
}

// Pairs travel as a count, all sizes, and all names and values with a zero byte
// behind each (proxy-wasm ABI 0.2.0). Envoy refuses more than these from a
// module (limits.h).
const (
	maxPairs      = 1024
	maxPairsBytes = 1 << 20
)

func encodePairs(pairs [][2]string) []byte {
	size := 4
	for _, p := range pairs {
		size += 8 + len(p[0]) + 1 + len(p[1]) + 1
	}
	b := make([]byte, 0, size)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(pairs)))
	for _, p := range pairs {
		b = binary.LittleEndian.AppendUint32(b, uint32(len(p[0])))
		b = binary.LittleEndian.AppendUint32(b, uint32(len(p[1])))
	}
	for _, p := range pairs {
		b = append(append(b, p[0]...), 0)
		b = append(append(b, p[1]...), 0)
	}
	return b
}

var errPairs = errors.New("malformed pairs")

func decodePairs(b []byte) ([][2]string, error) {
	if len(b) > maxPairsBytes {
		return nil, fmt.Errorf("%d bytes of pairs, the limit is %d", len(b), maxPairsBytes)
	}
	if len(b) < 4 {
		return nil, errPairs
	}
	n := int(binary.LittleEndian.Uint32(b))
	if n > maxPairs {
		return nil, fmt.Errorf("%d pairs, the limit is %d", n, maxPairs)
	}
	if len(b) < 4+8*n {
		return nil, errPairs
	}
	sizes, data := b[4:4+8*n], b[4+8*n:]
	take := func() (string, error) {
		size := int(binary.LittleEndian.Uint32(sizes))
		if size >= len(data) {
			return "", errPairs
		}
		s := string(data[:size])
		sizes, data = sizes[4:], data[size+1:]
		return s, nil
	}
	pairs := make([][2]string, n)
	for i := range pairs {
		for j := range pairs[i] {
			var err error
			if pairs[i][j], err = take(); err != nil {
				return nil, err
			}
		}
	}
	return pairs, nil
}
