package strict

import (
	"crypto/rand"
	"encoding/binary"
	"strings"
	"time"
)

// Errors of WASI preview 1.
const (
	errnoSuccess = 0
	errnoBadf    = 8
	errnoInval   = 28
	errnoNoent   = 44
	errnoNosys   = 52
	errnoNotsup  = 58
)

const maxRandom = 64 << 10 // bytes per random_get (proxy-wasm-cpp-host, limits.h)

// wasicalls are what Envoy offers of WASI: no files, no arguments, no
// environment, standard output and error to the log.
func wasicalls() []hostcall {
	calls := []hostcall{
		{"args_get", "ii", "i", func(*vm, args) uint32 { return errnoSuccess }},
		{"args_sizes_get", "ii", "i", sizesOfNothing},
		{"environ_get", "ii", "i", func(*vm, args) uint32 { return errnoSuccess }},
		{"environ_sizes_get", "ii", "i", sizesOfNothing},
		{"clock_time_get", "iIi", "i", clockTimeGet},
		{"fd_close", "i", "i", func(*vm, args) uint32 { return errnoSuccess }},
		{"fd_fdstat_get", "ii", "i", fdFdstatGet},
		{"fd_prestat_get", "ii", "i", func(*vm, args) uint32 { return errnoBadf }},
		{"fd_seek", "iIii", "i", func(*vm, args) uint32 { return errnoSuccess }},
		{"fd_write", "iiii", "i", fdWrite},
		{"path_open", "iiiiiIIii", "i", func(*vm, args) uint32 { return errnoNoent }},
		{"poll_oneoff", "iiii", "i", pollOneoff},
		{"proc_exit", "i", "", func(*vm, args) uint32 { return 0 }},
		{"random_get", "ii", "i", randomGet},
		{"sched_yield", "", "i", func(*vm, args) uint32 { return errnoSuccess }},
	}
	for name, params := range map[string]string{
		"clock_res_get": "ii", "fd_advise": "iIIi", "fd_allocate": "iII", "fd_datasync": "i",
		"fd_fdstat_set_flags": "ii", "fd_fdstat_set_rights": "iII", "fd_filestat_get": "ii",
		"fd_filestat_set_size": "iI", "fd_filestat_set_times": "iIIi", "fd_pread": "iiiIi",
		"fd_prestat_dir_name": "iii", "fd_pwrite": "iiiIi", "fd_read": "iiii", "fd_readdir": "iiiIi",
		"fd_renumber": "ii", "fd_sync": "i", "fd_tell": "ii", "path_create_directory": "iii",
		"path_filestat_get": "iiiii", "path_filestat_set_times": "iiiiIIi", "path_link": "iiiiiii",
		"path_readlink": "iiiiii", "path_remove_directory": "iii", "path_rename": "iiiiii",
		"path_symlink": "iiiii", "path_unlink_file": "iii", "sock_accept": "iii", "sock_recv": "iiiiii",
		"sock_send": "iiiii", "sock_shutdown": "ii",
	} {
		calls = append(calls, hostcall{name, params, "i", func(*vm, args) uint32 { return errnoNosys }})
	}
	return calls
}

func sizesOfNothing(v *vm, a args) uint32 {
	if !v.put(a.u32(0), 0) || !v.put(a.u32(1), 0) {
		return errnoInval
	}
	return errnoSuccess
}

// processStart makes the monotonic clock the same for all VMs of a process.
var processStart = time.Now()

func clockTimeGet(v *vm, a args) uint32 {
	var now int64
	switch a.u32(0) {
	case 0:
		now = time.Now().UnixNano()
	case 1:
		now = int64(time.Since(processStart)) + 1
	default:
		return errnoNotsup
	}
	if !v.module.Memory().WriteUint64Le(a.u32(2), uint64(now)) {
		return errnoInval
	}
	return errnoSuccess
}

// fdFdstatGet knows the three standard descriptors, with the right to write.
func fdFdstatGet(v *vm, a args) uint32 {
	if a.u32(0) > 2 {
		return errnoBadf
	}
	stat := make([]byte, 24)
	binary.LittleEndian.PutUint64(stat[8:], 64)
	if !v.module.Memory().Write(a.u32(1), stat) {
		return errnoInval
	}
	return errnoSuccess
}

func fdWrite(v *vm, a args) uint32 {
	fd, iovs, count := a.u32(0), a.u32(1), a.u32(2)
	if fd != 1 && fd != 2 {
		return errnoBadf
	}
	var text strings.Builder
	for i := range count {
		ptr, inside := v.module.Memory().ReadUint32Le(iovs + 8*i)
		size, insideToo := v.module.Memory().ReadUint32Le(iovs + 8*i + 4)
		line, insideAll := v.string(ptr, size)
		if !inside || !insideToo || !insideAll {
			return errnoInval
		}
		text.WriteString(line)
	}
	if !v.put(a.u32(3), uint32(text.Len())) {
		return errnoInval
	}
	v.print(fd, text.String())
	return errnoSuccess
}

// print logs whole lines: the runtime writes a panic in pieces. The line that
// says why the module ends is kept for the trap.
func (v *vm) print(fd uint32, text string) {
	v.line += text
	for {
		line, rest, complete := strings.Cut(v.line, "\n")
		if !complete {
			return
		}
		v.line = rest
		v.host.logf(map[uint32]string{1: "info", 2: "error"}[fd], "wasm: %s", line)
		if strings.HasPrefix(line, "panic: ") || strings.HasPrefix(line, "fatal error: ") {
			v.lastWords = line
		}
	}
}

// pollOneoff returns at once without events, as Envoy does since 1.39. Only a
// timer or a sleep gets here: either spins the worker, and Envoy before 1.39
// kills the VM. The runtime sleeps on its way down, too, which is not counted.
func pollOneoff(v *vm, a args) uint32 {
	v.polled = true
	if !v.put(a.u32(3), 0) {
		return errnoInval
	}
	return errnoSuccess
}

func randomGet(v *vm, a args) uint32 {
	size := a.u32(1)
	if size > maxRandom {
		return errnoInval
	}
	b := make([]byte, size)
	if _, err := rand.Read(b); err != nil || !v.module.Memory().Write(a.u32(0), b) {
		return errnoInval
	}
	return errnoSuccess
}
