package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Envoy runs a document as an operator does: `tollgate up` with a real Envoy
// and the sidecar below it.
type Envoy struct{}

// Name is "envoy".
func (Envoy) Name() string { return "envoy" }

// Start implements Engine. A port that somebody else took in the meantime is
// replaced by another.
func (Envoy) Start(t testing.TB, document string, options ...Option) *Gateway {
	t.Helper()
	binary := envoyBinary(t)
	for range 3 {
		g := open(t, document, options)
		u := &up{g: g, program: tollgate(t), module: module(t), envoy: binary}
		g.engine = u
		t.Cleanup(u.stop)
		err := u.start()
		if err == nil {
			return g
		}
		if !strings.Contains(g.Logs(), "address already in use") {
			t.Fatalf("tollgate up: %v", err)
		}
	}
	t.Fatal("tollgate up: no free port in three attempts")
	return nil
}

// up is the running command.
type up struct {
	g                      *Gateway
	program, module, envoy string
	cmd                    *exec.Cmd
	done                   chan struct{} // closed when cmd has been waited for
}

const (
	startTimeout  = 60 * time.Second // a loaded machine compiles the module slowly
	reloadTimeout = 15 * time.Second
	stopTimeout   = 40 * time.Second // the default drain and a margin
)

func (u *up) start() error {
	u.cmd = exec.Command(u.program, "up", u.g.DocumentPath, "--run", u.g.Run, "--module", u.module, "--envoy", u.envoy)
	u.cmd.Env = append(os.Environ(), u.g.env...)
	u.cmd.Stdout, u.cmd.Stderr = &u.g.logs, &u.g.logs
	// A test binary that is killed takes the gateway with it.
	u.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := u.cmd.Start(); err != nil {
		return err
	}
	u.done = make(chan struct{})
	go func() { u.cmd.Wait(); close(u.done) }()

	for deadline := time.Now().Add(startTimeout); time.Now().Before(deadline); {
		select {
		case <-u.done:
			return fmt.Errorf("ended at start: %v", u.cmd.ProcessState)
		case <-time.After(20 * time.Millisecond):
		}
		if strings.Contains(u.g.Logs(), "msg=ready ") {
			return nil
		}
	}
	return fmt.Errorf("not ready within %v", startTimeout)
}

// reload waits for what `up` says about the written document.
func (u *up) reload(before int) error {
	said := u.g.AwaitLog(u.g.t, before, `new configuration in force|keeping the configuration`)
	if strings.HasPrefix(said, "keeping") {
		return errors.New(u.g.Logs()[before:])
	}
	return nil
}

// AwaitLog waits until the logs after the first so many bytes match, and returns
// the match.
func (g *Gateway) AwaitLog(t testing.TB, after int, pattern string) string {
	t.Helper()
	expression := regexp.MustCompile(pattern)
	var match string
	Eventually(t, reloadTimeout, "the logs say "+pattern, func() bool {
		match = expression.FindString(g.Logs()[after:])
		return match != ""
	})
	return match
}

// complaint is a line of Envoy's log that the module is the cause of.
var complaint = regexp.MustCompile(`(?m)^.*\[(error|critical)\]\[wasm\].*$`)

func (u *up) violations() []string {
	found := complaint.FindAllString(u.g.Logs(), -1)
	stats := u.g.Stats(u.g.t)
	for _, name := range []string{"vm_reload", "vm_reload_backoff", "vm_reload_failure"} {
		for range stats["wasm.tollgate."+name] {
			found = append(found, name)
		}
	}
	return found
}

func (u *up) insides() []string {
	return []string{"/config_dump?include_eds", "/stats", "/clusters", "/listeners"}
}

func (u *up) stop() {
	if u.cmd == nil || u.cmd.Process == nil {
		return
	}
	select {
	case <-u.done:
		return
	default:
	}
	u.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-u.done:
	case <-time.After(stopTimeout):
		u.cmd.Process.Kill()
		<-u.done
		u.g.t.Errorf("tollgate up did not end within %v of SIGTERM", stopTimeout)
	}
}

// up is the running command. It fails the test on the other engine.
func (g *Gateway) up() *up {
	u, ok := g.engine.(*up)
	if !ok {
		g.t.Fatal("this engine runs no processes")
	}
	return u
}

// UpPID is the process of `tollgate up`.
func (g *Gateway) UpPID() int { return g.up().cmd.Process.Pid }

// EnvoyPID is the Envoy below `tollgate up`, 0 when there is none.
func (g *Gateway) EnvoyPID() int { return g.child("envoy") }

// SidecarPID is the `tollgate serve` below `tollgate up`, 0 when there is none.
func (g *Gateway) SidecarPID() int { return g.child("serve") }

// Exited is closed when `tollgate up` has ended.
func (g *Gateway) Exited() <-chan struct{} { return g.up().done }

// ExitCode is that of `tollgate up` once it has ended.
func (g *Gateway) ExitCode() int { return g.up().cmd.ProcessState.ExitCode() }

// child is the process whose parent is up and whose program or command is the
// word.
func (g *Gateway) child(word string) int {
	entries, _ := filepath.Glob("/proc/[0-9]*")
	for _, entry := range entries {
		pid, _ := strconv.Atoi(filepath.Base(entry))
		if parent(pid) != g.UpPID() {
			continue
		}
		line, _ := os.ReadFile(filepath.Join(entry, "cmdline"))
		words := strings.Split(string(line), "\x00")
		if filepath.Base(words[0]) == word || slices.Contains(words[1:], word) {
			return pid
		}
	}
	return 0
}

// Alive reports whether there is such a process, one that only waits to be
// buried not counted.
func Alive(pid int) bool { return parent(pid) != 0 }

// parent is the parent of a living process, else 0.
func parent(pid int) int {
	stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	// "pid (name) state ppid …"; the name may hold anything.
	_, rest, _ := strings.Cut(string(stat[strings.LastIndexByte(string(stat), ')')+1:]), " ")
	var state string
	var ppid int
	if _, err := fmt.Sscan(rest, &state, &ppid); err != nil || state == "Z" {
		return 0
	}
	return ppid
}

// Admin gets a path of Envoy's admin interface.
func (g *Gateway) Admin(t testing.TB, path string) string {
	t.Helper()
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(g.Run, "admin.sock"))
		},
	}}
	res, err := client.Get("http://admin" + path)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// Stats are Envoy's counters and gauges.
func (g *Gateway) Stats(t testing.TB) map[string]int64 {
	t.Helper()
	stats := map[string]int64{}
	for line := range strings.Lines(g.Admin(t, "/stats")) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		if n, err := strconv.ParseInt(value, 10, 64); err == nil {
			stats[name] = n
		}
	}
	return stats
}
