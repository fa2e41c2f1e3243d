package main

import (
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

func TestUpAnswersAndStops(t *testing.T) {
	m := boot(t, document("", says(t, "hello")))
	m.answers("b0", "hello")
	if err := filepath.WalkDir(m.run(), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		contents, err := os.ReadFile(path)
		if info, statErr := entry.Info(); strings.Contains(string(contents), secret) && (statErr != nil || info.Mode().Perm() != 0o600) {
			t.Errorf("%s holds the secret for others to read: %v, %v", path, info.Mode(), statErr)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}

	m.signal(syscall.SIGTERM)
	if code := m.code(); code != 0 {
		t.Errorf("exit %d", code)
	}
	if !m.closed() {
		t.Error("still listening")
	}
	for _, name := range []string{"sds", "admin.sock"} {
		if _, err := os.Stat(filepath.Join(m.run(), name)); err == nil {
			t.Errorf("%s is still there", name)
		}
	}
	if strings.Contains(m.log.String(), secret) {
		t.Error("the secret is in the log")
	}
}

func TestStopLetsRequestsEnd(t *testing.T) {
	slow, arrived, release := held(t)
	m := boot(t, document("", slow, says(t, "hello")))

	// A connection that is kept open, without a request when the stop comes.
	kept, err := net.Dial("tcp", strings.TrimPrefix(m.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()
	ask := func() string {
		if _, err := io.WriteString(kept, "GET / HTTP/1.1\r\nhost: a\r\nx-backend: b1\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		answer := make([]byte, 4096)
		n, err := kept.Read(answer)
		if err != nil {
			t.Fatal(err)
		}
		return string(answer[:n])
	}
	if first := ask(); strings.Contains(strings.ToLower(first), "connection: close") {
		t.Fatalf("closed before the stop: %s", first)
	}

	result := make(chan string, 1)
	go func() {
		code, body, err := m.get("b0")
		result <- fmt.Sprint(code, " ", body, " ", err)
	}()
	<-arrived
	m.signal(syscall.SIGTERM)
	eventually(t, "no new connection is accepted", m.closed)
	if last := ask(); !strings.Contains(strings.ToLower(last), "connection: close") {
		t.Errorf("a kept connection was not told to close: %s", last)
	}
	select {
	case <-m.done:
		t.Fatal("ended with a request in flight")
	default:
	}
	release()
	if got, want := <-result, "200 the beginning and the end <nil>"; got != want {
		t.Errorf("the request in flight: %s, want %s", got, want)
	}
	if code := m.code(); code != 0 {
		t.Errorf("exit %d", code)
	}
}

func TestStopIsBounded(t *testing.T) {
	for _, test := range []struct {
		name  string
		drain string
		twice bool
		code  int
	}{
		{name: "by gateway.drain", drain: "300ms", code: 0},
		{name: "by a second signal", drain: "1h", twice: true, code: 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			slow, arrived, _ := held(t)
			m := boot(t, document(fmt.Sprintf("gateway: {listen: \"127.0.0.1:0\", workers: 1, drain: %s}\n", test.drain), slow))
			result := make(chan error, 1)
			go func() {
				_, _, err := m.get("b0")
				result <- err
			}()
			<-arrived
			m.signal(syscall.SIGINT)
			if test.twice {
				m.says(0, "no new connections")
				m.signal(syscall.SIGINT)
			}
			if err := <-result; err == nil {
				t.Error("the request was not cut")
			}
			if code := m.code(); code != test.code {
				t.Errorf("exit %d, want %d", code, test.code)
			}
		})
	}
}

// load asks a backend without pause, on kept and on new connections, until stop
// is called, which returns how many requests were made and what went wrong.
func (m *machine) load(backend, want string) (stop func() (requests int64, failures []string)) {
	var (
		wg       sync.WaitGroup
		requests atomic.Int64
		mu       sync.Mutex
		failures []string
		end      = make(chan struct{})
	)
	for i := range 4 {
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: i%2 == 0}}
		wg.Go(func() {
			for {
				select {
				case <-end:
					return
				default:
				}
				req, _ := http.NewRequest(http.MethodGet, m.url+"/", nil)
				req.Header.Set("x-backend", backend)
				code, body, err := read(client.Do(req))
				requests.Add(1)
				if code != http.StatusOK || body != want || err != nil {
					mu.Lock()
					failures = append(failures, fmt.Sprint(code, " ", body, " ", err))
					mu.Unlock()
				}
			}
		})
	}
	return func() (int64, []string) {
		close(end)
		wg.Wait()
		return requests.Load(), failures
	}
}

func TestChangeUnderLoad(t *testing.T) {
	one, two := says(t, "one"), says(t, "two")
	m := boot(t, document("", one))
	stop := m.load("b0", "one")
	const inForce = "new configuration in force"

	if code, _, _ := m.get("b1"); code != http.StatusServiceUnavailable {
		t.Errorf("an unknown backend: %d", code)
	}
	took := time.Now()
	m.change(document("", one, two), inForce)
	t.Logf("a backend more: %s", time.Since(took).Round(time.Millisecond))
	m.answers("b1", "two")
	m.change(document("gateway: {listen: \"127.0.0.1:0\", workers: 1, maxBody: 1MiB}\n", one, two), inForce)
	m.answers("b1", "two")
	m.change(document("identity: {trustedHops: 1}\n", one, two), inForce) // the listener
	m.answers("b1", "two")
	m.change(document("", one), inForce)
	if code, _, _ := m.get("b1"); code != http.StatusServiceUnavailable {
		t.Errorf("a removed backend: %d", code)
	}

	// The last of many changes wins.
	for i := range 9 {
		if i%2 == 0 {
			m.write("tollgate.yaml", document("", one, two))
		} else {
			m.write("tollgate.yaml", document("", one))
		}
	}
	eventually(t, "the last change is in force", func() bool {
		_, body, _ := m.get("b1")
		return body == "two"
	})

	requests, failures := stop()
	if len(failures) > 0 {
		t.Errorf("%d of %d requests failed, first: %s", len(failures), requests, failures[0])
	}
}

func TestABadDocumentChangesNothing(t *testing.T) {
	good := document("", says(t, "one"))
	m := boot(t, good)
	from := m.mark()
	m.change(good+"limits: {tokens: [{name: x}]}\nlisten: y\n", `keeping the configuration of (\d\d:\d\d:\d\d)`)
	for _, want := range []string{
		"tollgate.yaml:7:19: limits.tokens[0].key: want at least one",
		"tollgate.yaml:8:1: listen: unknown key",
	} {
		if !strings.Contains(m.log.String()[from:], want) {
			t.Errorf("the log does not say %s", want)
		}
	}
	m.answers("b0", "one")

	from = m.mark()
	if err := os.Remove(m.file); err != nil {
		t.Fatal(err)
	}
	m.says(from, `no such file or directory(?s:.*)keeping the configuration`)
	m.answers("b0", "one")
	m.change(document("", says(t, "two")), "new configuration in force")
	m.answers("b0", "two")
}

func TestARefusalByEnvoyChangesNothing(t *testing.T) {
	one, two := says(t, "one"), says(t, "two")
	m := prepare(t, document("", one))
	broken := filepath.Join(m.dir, "module.wasm")
	contents, err := os.ReadFile(module)
	if err != nil {
		t.Fatal(err)
	}
	m.write("module.wasm", string(contents))
	m.start("--module", broken)
	m.url = m.says(0, `msg=ready address=(\S+)`)

	m.write("module.wasm", "not a module")
	from := m.mark()
	m.change(document("", one, two), "keeping the configuration of")
	if !strings.Contains(m.log.String()[from:], "refused by Envoy: ") {
		t.Error("the log does not say that Envoy refused it")
	}
	m.answers("b0", "one")
	m.write("module.wasm", string(contents))
	m.change(document("", one, two)+"\n", "new configuration in force")
	m.answers("b1", "two")
}

func TestARotatedCredentialIsSent(t *testing.T) {
	echo := upstream(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Header.Get("authorization")) })
	m := prepare(t, strings.Replace(document("", echo), "env: KEY", "file: secrets/key", 1))
	if err := os.Mkdir(filepath.Join(m.dir, "secrets"), 0o700); err != nil {
		t.Fatal(err)
	}
	m.write("secrets/key", "first\n")
	m.start()
	m.url = m.says(0, `msg=ready address=(\S+)`)
	m.answers("b0", "Bearer first")
	clusters, err := os.Stat(filepath.Join(m.run(), "cds", "cds.json"))
	if err != nil {
		t.Fatal(err)
	}

	from := m.mark()
	m.write("secrets/key", "second\n")
	m.says(from, "new configuration in force")
	m.answers("b0", "Bearer second")
	if after, err := os.Stat(filepath.Join(m.run(), "cds", "cds.json")); err != nil || !os.SameFile(clusters, after) {
		t.Errorf("the clusters were written again, %v", err)
	}

	from = m.mark()
	if err := os.Remove(filepath.Join(m.dir, "secrets", "key")); err != nil {
		t.Fatal(err)
	}
	m.says(from, "keeping the configuration of")
	m.answers("b0", "Bearer second")
	from = m.mark()
	m.write("secrets/key", "third\n")
	m.says(from, "new configuration in force")
	m.answers("b0", "Bearer third")
}

func TestUpRefusesToStart(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	t.Setenv("KEY", secret)
	garbage := filepath.Join(t.TempDir(), "garbage.wasm")
	if err := os.WriteFile(garbage, []byte("not a module"), 0o600); err != nil {
		t.Fatal(err)
	}
	const one = "http://127.0.0.1:1"
	dying := filepath.Join(t.TempDir(), "envoy")
	if err := os.WriteFile(dying, []byte(`#!/bin/sh
[ "$1" = --version ] && echo "envoy  version: 9e55809/1.40.0/Clean/RELEASE/BoringSSL" && exit
echo "[2026-11-21 14:00:22.150][9870][critical][main] [source/server/server.cc:449] error initializing config" >&2
exit 1
`), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name     string
		document string
		args     []string
		want     []string
	}{
		{
			name:     "bad document",
			document: document("limit: x\n", one),
			want:     []string{"tollgate.yaml:5:1: limit: unknown key"},
		},
		{
			name:     "missing credential",
			document: strings.Replace(document("", one), "env: KEY", "file: nowhere", 1),
			want:     []string{"backends[0].credential: file: open ", "nowhere: no such file or directory"},
		},
		{
			name:     "port taken",
			document: document(fmt.Sprintf("gateway: {listen: %q}\n", taken.Addr()), one),
			want:     []string{fmt.Sprintf("gateway.listen: %s: address already in use", taken.Addr())},
		},
		{
			name:     "port of the option taken",
			document: document("", one),
			args:     []string{"--listen", taken.Addr().String()},
			want:     []string{fmt.Sprintf("--listen: %s: address already in use", taken.Addr())},
		},
		{
			name:     "port of the sidecar taken",
			document: document(fmt.Sprintf("sidecar: {listen: %q}\n", taken.Addr()), one),
			want:     []string{"address already in use", "sidecar ended at its start: exit status 1"},
		},
		{
			name:     "no module",
			document: document("", one),
			args:     []string{"--module", "/nowhere/tollgate.wasm"},
			want:     []string{"module: stat /nowhere/tollgate.wasm: no such file or directory; name it with --module"},
		},
		{
			name:     "no wasm in the module",
			document: document("", one),
			args:     []string{"--module", garbage},
			want:     []string{"refused by Envoy: "},
		},
		{
			name:     "an Envoy that ends",
			document: document("", one),
			args:     []string{"--envoy", dying},
			want:     []string{"\nenvoy ended at its start: exit status 1: error initializing config\n"},
		},
		{
			name:     "long run directory",
			document: document("", one),
			args:     []string{"--run", "/tmp/" + strings.Repeat("x", 100)},
			want:     []string{"the path of a Unix socket can have "},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := prepare(t, test.document).start(test.args...)
			if code := m.code(); code != 1 {
				t.Errorf("exit %d, want 1", code)
			}
			for _, want := range test.want {
				if !strings.Contains(m.log.String(), want) {
					t.Errorf("want %q in\n%s", want, m.log)
				}
			}
			if strings.Contains(m.log.String(), secret) {
				t.Error("the secret is in the log")
			}
		})
	}
}

func TestAGatewayThatMoves(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	one := says(t, "one")
	m := boot(t, document("", one))
	before := m.url
	at := func(address string) string {
		return document(fmt.Sprintf("gateway: {listen: %q, workers: 1}\n", address), one)
	}

	from := m.mark()
	m.change(at(taken.Addr().String()), "keeping the configuration of")
	if want := fmt.Sprintf("gateway.listen: %s: address already in use", taken.Addr()); !strings.Contains(m.log.String()[from:], want) {
		t.Errorf("the log does not say %s", want)
	}
	m.answers("b0", "one")

	m.url = m.change(at("127.0.0.2:0"), `msg=ready address=(\S+)`)
	m.answers("b0", "one")
	if m.url = before; !m.closed() {
		t.Errorf("%s is still listened on", before)
	}
}

func TestChangesBesideEnvoy(t *testing.T) {
	one := says(t, "one")
	m := boot(t, document("", one))
	first := m.says(0, `sidecar ready" address=(\S+)`)
	from := m.mark()
	m.change(document("sidecar: {listen: \"127.0.0.2:0\"}\n", one), "restarting the sidecar")
	second := m.says(from, `sidecar ready" address=(\S+)`)
	if _, body, err := read(http.Get(second + "/healthz")); body != "ok\n" || err != nil {
		t.Errorf("%s: %q, %v", second, body, err)
	}
	if _, _, err := read(http.Get(first + "/healthz")); err == nil {
		t.Errorf("%s answers still", first)
	}
	m.change(document("gateway: {listen: \"127.0.0.1:0\", workers: 2}\n", one), "gateway.workers takes effect at the next start")
	m.answers("b0", "one")
}

func TestServe(t *testing.T) {
	t.Setenv("KEY", secret)
	m := prepare(t, document("", "http://127.0.0.1:1"))
	m.command("serve", m.file)
	m.url = m.says(0, `sidecar ready" address=(\S+)`)
	if _, body, err := read(http.Get(m.url + "/metrics")); !strings.Contains(body, "tollgate_build_info{") || err != nil {
		t.Errorf("%q, %v", body, err)
	}
	m.signal(syscall.SIGTERM)
	if code := m.code(); code != 0 || !m.closed() {
		t.Errorf("exit %d, closed %v", code, m.closed())
	}
}
