package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// child is the process that up has started with a certain argument, and its
// process group.
func (m *machine) child(argument string) (pid, group int) {
	m.t.Helper()
	entries, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		m.t.Fatal(err)
	}
	for _, entry := range entries {
		stat, _ := os.ReadFile(entry + "/stat")
		_, fields, _ := strings.Cut(string(stat), ") ") // after the name, which may hold blanks
		var state string
		var parent int
		if n, _ := fmt.Sscan(fields, &state, &parent, &group); n < 3 || parent != m.cmd.Process.Pid {
			continue
		}
		line, _ := os.ReadFile(entry + "/cmdline")
		if strings.Contains(string(line), "\x00"+argument+"\x00") {
			pid, err = strconv.Atoi(filepath.Base(entry))
			if err != nil {
				m.t.Fatal(err)
			}
			return pid, group
		}
	}
	return 0, 0
}

const (
	envoys   = "--disable-hot-restart"
	sidecars = "serve"
)

// gone is true of a process that has ended, reaped or not.
func gone(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, fields, _ := strings.Cut(string(stat), ") ")
	return err != nil || strings.HasPrefix(fields, "Z")
}

func TestAKilledUpLeavesNothingBehind(t *testing.T) {
	m := boot(t, document("", says(t, "one")))
	m.answers("b0", "one")
	envoy, group := m.child(envoys)
	sidecar, sidecarGroup := m.child(sidecars)
	if envoy == 0 || sidecar == 0 {
		t.Fatalf("children %d and %d", envoy, sidecar)
	}
	if group != envoy || sidecarGroup != sidecar {
		t.Errorf("process groups %d and %d: a terminal's Ctrl-C would reach the children", group, sidecarGroup)
	}
	killed := time.Now()
	m.signal(syscall.SIGKILL)
	eventually(t, "the port is free", m.closed)
	eventually(t, "the children are gone", func() bool { return gone(envoy) && gone(sidecar) })
	t.Logf("free after %s", time.Since(killed).Round(time.Millisecond))
}

func TestAKilledUpWhileItStartsLeavesNothingBehind(t *testing.T) {
	m := prepare(t, document("", says(t, "one"))).start()
	var envoy int
	eventually(t, "Envoy has been started", func() bool {
		envoy, _ = m.child(envoys)
		return envoy != 0
	})
	m.signal(syscall.SIGKILL)
	eventually(t, "Envoy is gone", func() bool { return gone(envoy) })
}

func TestAKilledEnvoyComesBack(t *testing.T) {
	// Where Envoy comes back must be where it was.
	free, err := freeAddress()
	if err != nil {
		t.Fatal(err)
	}
	m := boot(t, document(fmt.Sprintf("gateway: {listen: %q, workers: 1}\n", free), says(t, "one")))
	before, _ := m.child(envoys)
	sidecar, _ := m.child(sidecars)
	from := m.mark()
	if err := syscall.Kill(before, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	m.says(from, `envoy ended, starting it again" cause="signal: killed"`)
	m.says(from, `msg=ready address=(\S+)`)
	m.answers("b0", "one")
	if after, _ := m.child(envoys); after == before || after == 0 {
		t.Errorf("Envoy %d, was %d", after, before)
	}
	if after, _ := m.child(sidecars); after != sidecar {
		t.Errorf("sidecar %d, was %d", after, sidecar)
	}
}

func TestAnEnvoyKilledInTheMiddleOfAChange(t *testing.T) {
	one, two := says(t, "one"), says(t, "two")
	m := boot(t, document("", one))
	pid, _ := m.child(envoys)
	from := m.mark()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	m.write("tollgate.yaml", document("", one, two))
	eventually(t, "the change has begun", func() bool {
		clusters, _ := os.ReadFile(filepath.Join(m.run(), "cds", "cds.json"))
		return strings.Contains(string(clusters), "backend/b1")
	})
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	m.says(from, "new configuration in force|keeping the configuration")
	m.url = m.says(from, `msg=ready address=(\S+)`)
	if strings.Contains(m.log.String()[from:], "keeping") {
		t.Fatal("the change was given up")
	}
	m.answers("b1", "two")
}

func TestAKilledSidecarTouchesNothing(t *testing.T) {
	m := boot(t, document("", says(t, "one")))
	stop := m.load("b0", "one")
	envoy, _ := m.child(envoys)
	sidecar, _ := m.child(sidecars)
	from := m.mark()
	if err := syscall.Kill(sidecar, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	address := m.says(from, `sidecar ready" address=(\S+)`)
	if _, body, err := read(http.Get(address + "/healthz")); body != "ok\n" || err != nil {
		t.Errorf("%q, %v", body, err)
	}
	if requests, failures := stop(); len(failures) > 0 {
		t.Errorf("%d of %d requests failed, first: %s", len(failures), requests, failures[0])
	}
	if after, _ := m.child(envoys); after != envoy {
		t.Errorf("Envoy %d, was %d", after, envoy)
	}
}
