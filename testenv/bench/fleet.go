//go:build linux

package main

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/tollgate/tollgate/testenv/mock"
)

// key is the subscription key of the load.
const key = "bench-key"

// fleet is the processes of a run.
type fleet struct {
	dir        string
	envoy      string
	processors processors
	mock       string // its address
	running    []*exec.Cmd
}

func newFleet() (*fleet, error) {
	envoy, err := findEnvoy()
	if err != nil {
		return nil, err
	}
	f := &fleet{envoy: envoy}
	if f.processors, err = share(); err != nil {
		return nil, err
	}
	if f.processors.shared {
		progress("one processor for everything: the latencies mean little")
	}
	// Not below the checkout, whose path may be too long for a Unix socket.
	if f.dir, err = os.MkdirTemp("", "tollgate-bench-"); err != nil {
		return nil, err
	}
	f.onSignal()
	if err := f.startMock(); err != nil {
		f.close()
		return nil, err
	}
	return f, nil
}

// onSignal removes the folder before a signal ends the process, and with it
// the processes it has started.
func (f *fleet) onSignal() {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		<-stop
		_ = os.RemoveAll(f.dir)
		os.Exit(1)
	}()
}

// findEnvoy looks where `tollgate up` looks.
func findEnvoy() (string, error) {
	if path := os.Getenv("ENVOY"); path != "" {
		return path, nil
	}
	for _, name := range []string{"envoy", ".tools/envoy/envoy/_bin/envoy"} {
		if path, err := exec.LookPath(name); err == nil {
			return filepath.Abs(path)
		}
	}
	return "", errors.New("no Envoy in $ENVOY, on PATH or below .tools: make bench gets one")
}

// serveMock is the mock's process. Its first line is its address; it ends when
// its standard input does.
func serveMock() error {
	s, err := mock.Start(mock.Options{Cheap: &mock.Cheap{Every: time.Millisecond}})
	if err != nil {
		return err
	}
	fmt.Println(s.Addr())
	_, _ = bufio.NewReader(os.Stdin).ReadByte()
	return s.Close()
}

func (f *fleet) startMock() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(self, "mock")
	cmd.Stderr = os.Stderr
	if _, err := cmd.StdinPipe(); err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := start(cmd, &f.processors.rest, &f.processors.rest); err != nil {
		return fmt.Errorf("mock: %w", err)
	}
	f.running = append(f.running, cmd)
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return fmt.Errorf("mock: %w", err)
	}
	f.mock = strings.TrimSpace(line)
	return nil
}

// The sides of a pair.
const (
	plain = iota
	tollgate
)

// pair starts a plain Envoy and one with the module.
func (f *fleet) pair(workers int) (pair [2]*target, err error) {
	if pair[plain], err = f.startPlain(workers); err != nil {
		return pair, fmt.Errorf("plain Envoy: %w", err)
	}
	if pair[tollgate], err = f.startTollgate(workers); err != nil {
		return pair, fmt.Errorf("tollgate up: %w", err)
	}
	return pair, nil
}

func (f *fleet) startPlain(workers int) (*target, error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	file := filepath.Join(f.dir, fmt.Sprintf("plain%d.yaml", workers))
	if err := os.WriteFile(file, []byte(plainEnvoy(addr, f.mock)), 0o600); err != nil {
		return nil, err
	}
	cmd := exec.Command(f.envoy, "-c", file, "--disable-hot-restart", "--concurrency", fmt.Sprint(workers), "--log-level", "error")
	if err := f.launch(cmd, addr, http.StatusOK); err != nil {
		return nil, err
	}
	return newTarget("plain Envoy", addr, cmd.Process.Pid), nil
}

func (f *fleet) startTollgate(workers int) (*target, error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	name := filepath.Join(f.dir, fmt.Sprintf("tollgate%d", workers))
	if err := os.WriteFile(name+".yaml", []byte(document(addr, f.mock, workers)), 0o600); err != nil {
		return nil, err
	}
	cmd := exec.Command("bin/tollgate", "up", name+".yaml", "--run", name, "--envoy", f.envoy)
	if err := f.launch(cmd, addr, http.StatusNotFound); err != nil {
		return nil, err
	}
	pid, err := descendant(cmd.Process.Pid, filepath.Base(f.envoy))
	if err != nil {
		return nil, err
	}
	return newTarget("Tollgate", addr, pid), nil
}

// launch starts a gateway on its processor and returns once a GET of / has the
// status it should have. What the gateway wrote is shown only if it has not.
func (f *fleet) launch(cmd *exec.Cmd, addr string, status int) error {
	log, err := os.CreateTemp(f.dir, "log-")
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	cmd.Stdout, cmd.Stderr = log, log
	if err := start(cmd, &f.processors.gateway, &f.processors.rest); err != nil {
		return err
	}
	f.running = append(f.running, cmd)
	if err := ready(addr, status); err != nil {
		text, _ := os.ReadFile(log.Name())
		return fmt.Errorf("%w; it wrote:\n%s", err, text)
	}
	return nil
}

func ready(addr string, status int) error {
	const within = 30 * time.Second
	client := http.Client{Timeout: 2 * time.Second}
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	last := errors.New("nothing tried")
	for deadline := time.Now().Add(within); time.Now().Before(deadline); <-poll.C {
		r, err := client.Get("http://" + addr + "/")
		if last = err; err != nil {
			continue
		}
		_ = r.Body.Close()
		if r.StatusCode == status {
			return nil
		}
		last = fmt.Errorf("status %d", r.StatusCode)
	}
	return fmt.Errorf("not ready within %v: %w", within, last)
}

// close stops what was started, the gateways first.
func (f *fleet) close() {
	for i := len(f.running) - 1; i >= 0; i-- {
		cmd := f.running[i]
		_ = cmd.Process.Signal(syscall.SIGTERM)
		kill := time.AfterFunc(10*time.Second, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait() // ended by the signal
		kill.Stop()
	}
	_ = os.RemoveAll(f.dir)
}

// freeAddr is a loopback address on which nothing listened a moment ago.
func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// document limits nobody, but counts everybody.
func document(addr, backend string, workers int) string {
	return fmt.Sprintf(`
gateway: {listen: %s, workers: %d}
sidecar: {listen: 127.0.0.1:0}
subscriptions:
  - {name: bench, keys: [{sha256: %x}]}
backends:
  - {name: mock, url: "http://%s"}
pools:
  - {name: gpt-4o, members: [{backend: mock}]}
models:
  - {name: gpt-4o, pool: gpt-4o}
limits:
  tokens:
    - {name: per-caller, key: [subscription], tokensPerMinute: 1000000000}
`, addr, workers, sha256.Sum256([]byte(key)), backend)
}

// plainEnvoy is the least that carries the load.
func plainEnvoy(addr, backend string) string {
	host, port, _ := net.SplitHostPort(addr)
	backendHost, backendPort, _ := net.SplitHostPort(backend)
	return fmt.Sprintf(`
static_resources:
  listeners:
    - name: plain
      address: {socket_address: {address: %s, port_value: %s}}
      filter_chains:
        - filters:
            - name: http
              typed_config:
                "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
                stat_prefix: plain
                route_config:
                  virtual_hosts:
                    - name: all
                      domains: ["*"]
                      routes: [{match: {prefix: /}, route: {cluster: mock, timeout: 0s}}]
                http_filters:
                  - name: router
                    typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
  clusters:
    - name: mock
      type: STATIC
      load_assignment:
        cluster_name: mock
        endpoints:
          - lb_endpoints:
              - endpoint: {address: {socket_address: {address: %s, port_value: %s}}}
`, host, port, backendHost, backendPort)
}
