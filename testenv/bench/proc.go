//go:build linux

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// cpuTime is utime + stime of a process and all its threads, as in
// /proc/PID/stat but in nanoseconds where that has hundredths of a second.
func cpuTime(pid int) (time.Duration, error) {
	// The clock of a process, clock_getcpuclockid(3).
	id := int32(^pid<<3 | 2)
	var t unix.Timespec
	if err := unix.ClockGettime(id, &t); err != nil {
		return 0, fmt.Errorf("processor time of %d: %w", pid, err)
	}
	return time.Duration(t.Nano()), nil
}

// rss is the resident memory of a process in bytes.
func rss(pid int) (float64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(value), " kB"))
			return float64(kb) * 1024, err
		}
	}
	return 0, fmt.Errorf("/proc/%d/status has no VmRSS", pid)
}

// descendant is the process below pid that runs a program of this name.
func descendant(pid int, name string) (int, error) {
	children, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, list := range children {
		text, _ := os.ReadFile(list) // a thread that has ended has none
		for word := range strings.FieldsSeq(string(text)) {
			child, err := strconv.Atoi(word)
			if err != nil {
				return 0, err
			}
			if program, _ := os.Readlink(fmt.Sprintf("/proc/%d/exe", child)); filepath.Base(program) == name {
				return child, nil
			}
			if found, err := descendant(child, name); err == nil {
				return found, nil
			}
		}
	}
	return 0, fmt.Errorf("no %s below process %d", name, pid)
}

// processors are shared out between the gateway and the rest.
type processors struct {
	gateway, rest unix.CPUSet
	shared        bool // there is only one
}

// share gives the gateway the first processor this process may use, and this
// process, with what it starts, the others.
func share() (processors, error) {
	var all unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		return processors{}, fmt.Errorf("processors: %w", err)
	}
	p := processors{gateway: all, rest: all, shared: all.Count() < 2}
	if p.shared {
		return p, nil
	}
	first := 0
	for !all.IsSet(first) {
		first++
	}
	p.gateway.Zero()
	p.gateway.Set(first)
	p.rest.Clear(first)
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return p, fmt.Errorf("processors: %w", err)
	}
	for _, t := range threads {
		tid, err := strconv.Atoi(t.Name())
		if err != nil {
			return p, fmt.Errorf("processors: %w", err)
		}
		if err := unix.SchedSetaffinity(tid, &p.rest); err != nil {
			return p, fmt.Errorf("processors: %w", err)
		}
	}
	// The sender sleeps in system calls and must not hold up the readers.
	runtime.GOMAXPROCS(max(4, runtime.GOMAXPROCS(0)))
	return p, nil
}

// start starts a program on some of the processors, tied to this process's
// life. It is called on the main thread only.
func start(cmd *exec.Cmd, on, after *unix.CPUSet) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := unix.SchedSetaffinity(0, on); err != nil {
		return fmt.Errorf("processors: %w", err)
	}
	err := cmd.Start()
	if restored := unix.SchedSetaffinity(0, after); err == nil && restored != nil {
		err = fmt.Errorf("processors: %w", restored)
	}
	return err
}

// machine says where the figures come from.
func machine() string {
	name := "an unknown processor"
	info, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(info)) {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == "model name" {
			name = strings.TrimSpace(v)
			break
		}
	}
	return fmt.Sprintf("%d processors: %s", runtime.NumCPU(), name)
}
