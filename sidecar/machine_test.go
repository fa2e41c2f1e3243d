package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// The programs under test: built once, run as an operator runs them.
var (
	program string
	module  string // sends a request where its header x-backend says
	stock   string // a real Envoy
)

// patience is for a machine that does much else; nothing takes it when all is
// well.
const patience = 2 * time.Minute

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "tg")
	if err != nil {
		log.Fatal(err)
	}
	program, module = filepath.Join(dir, "bin", "tollgate"), filepath.Join(dir, "bin", "tollgate.wasm")
	if err := errors.Join(
		build(program, "."),
		build(module, "./testdata/module", "GOOS=wasip1", "GOARCH=wasm"),
		find(),
	); err != nil {
		log.Fatal(err)
	}
	code := m.Run()
	if err := os.RemoveAll(dir); err != nil {
		log.Fatal(err)
	}
	os.Exit(code)
}

func build(output, source string, env ...string) error {
	args := []string{"build", "-o", output}
	if len(env) > 0 {
		args = append(args, "-buildmode=c-shared")
	}
	cmd := exec.Command("go", append(args, source)...)
	cmd.Env = append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building %s: %w\n%s", source, err, out)
	}
	return nil
}

// find looks for Envoy as `tollgate up` does from the checkout's bin.
func find() error {
	for _, path := range []string{os.Getenv("ENVOY"), "envoy", "../.tools/envoy/envoy/_bin/envoy"} {
		if found, err := exec.LookPath(path); err == nil {
			stock, err = filepath.Abs(found)
			return err
		}
	}
	return errors.New("no Envoy: set ENVOY, or run make test, which gets one")
}

// machine is a running `tollgate up`.
type machine struct {
	t    *testing.T
	dir  string // of the document
	file string
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	log  *journal
	url  string
}

// journal is what a program has written so far.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// prepare writes a document into a folder of its own.
func prepare(t *testing.T, document string) *machine {
	t.Helper()
	m := &machine{t: t, dir: t.TempDir(), done: make(chan struct{}), log: &journal{}}
	m.file = filepath.Join(m.dir, "tollgate.yaml")
	m.write("tollgate.yaml", document)
	return m
}

// start starts `tollgate up` and does not wait for it.
func (m *machine) start(args ...string) *machine {
	m.t.Helper()
	return m.command(append([]string{"up", m.file, "--envoy", stock, "--run", m.run()}, args...)...)
}

// command starts the program.
func (m *machine) command(args ...string) *machine {
	m.t.Helper()
	m.cmd = exec.Command(program, args...)
	m.cmd.Stderr, m.cmd.Stdout = m.log, m.log
	if err := m.cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	go func() {
		_ = m.cmd.Wait()
		close(m.done)
	}()
	m.t.Cleanup(func() {
		_ = m.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-m.done:
		case <-time.After(patience):
			_ = m.cmd.Process.Kill()
			m.t.Error("did not stop")
		}
		if m.t.Failed() {
			m.t.Log(m.log)
		}
	})
	return m
}

// boot starts the gateway and waits until it is ready.
func boot(t *testing.T, document string) *machine {
	t.Helper()
	m := prepare(t, document).start()
	m.url = m.says(0, `msg=ready address=(\S+)`)
	return m
}

func (m *machine) run() string { return filepath.Join(m.dir, "run") }

// write replaces a file beside the document, as editors do.
func (m *machine) write(name, text string) {
	m.t.Helper()
	path := filepath.Join(m.dir, name)
	if err := os.WriteFile(path+"~", []byte(text), 0o600); err != nil {
		m.t.Fatal(err)
	}
	if err := os.Rename(path+"~", path); err != nil {
		m.t.Fatal(err)
	}
}

// change replaces the document and waits for what is said of it.
func (m *machine) change(document, pattern string) string {
	m.t.Helper()
	from := m.mark()
	m.write("tollgate.yaml", document)
	return m.says(from, pattern)
}

// mark is the length of the log.
func (m *machine) mark() int { return len(m.log.String()) }

// says waits until the log says something, after its first bytes, and returns
// the expression's first group.
func (m *machine) says(from int, pattern string) string {
	m.t.Helper()
	expression := regexp.MustCompile(pattern)
	var found []string
	eventually(m.t, "the log says "+pattern, func() bool {
		found = expression.FindStringSubmatch(m.log.String()[from:])
		if found == nil {
			select {
			case <-m.done:
				m.t.Fatalf("ended before it said %s: %v", pattern, m.cmd.ProcessState)
			default:
			}
		}
		return found != nil
	})
	return found[len(found)-1]
}

// freeAddress is one that nobody listens on at this moment.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !condition(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", patience, what)
		}
	}
}

func (m *machine) signal(s os.Signal) {
	m.t.Helper()
	if err := m.cmd.Process.Signal(s); err != nil {
		m.t.Fatal(err)
	}
}

// code waits for the end and returns the exit code.
func (m *machine) code() int {
	m.t.Helper()
	select {
	case <-m.done:
	case <-time.After(patience):
		m.t.Fatalf("not ended within %s", patience)
	}
	return m.cmd.ProcessState.ExitCode()
}

// get asks a backend through the gateway, on a connection of its own.
func (m *machine) get(backend string) (code int, body string, err error) {
	req, err := http.NewRequest(http.MethodGet, m.url+"/", nil)
	if err != nil {
		return 0, "", err
	}
	req.Close = true
	req.Header.Set("x-backend", backend)
	return read(http.DefaultClient.Do(req))
}

func read(res *http.Response, err error) (int, string, error) {
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return res.StatusCode, string(body), err
}

// answers checks that a backend is reached.
func (m *machine) answers(backend, want string) {
	m.t.Helper()
	code, body, err := m.get(backend)
	if code != http.StatusOK || body != want || err != nil {
		m.t.Errorf("backend %s: %d %q %v, want %q", backend, code, body, err, want)
	}
}

// closed checks that nobody listens where the gateway did.
func (m *machine) closed() bool {
	c, err := net.Dial("tcp", strings.TrimPrefix(m.url, "http://"))
	if err != nil {
		return true
	}
	c.Close()
	return false
}

// document is one with a backend per URL, b0, b1, …, and further lines.
func document(lines string, urls ...string) string {
	var d, members strings.Builder
	d.WriteString("backends:\n")
	for i, url := range urls {
		fmt.Fprintf(&d, "  - {name: b%d, url: %q, credential: {env: KEY}}\n", i, url)
		fmt.Fprintf(&members, "{backend: b%d}, ", i)
	}
	fmt.Fprintf(&d, "pools: [{name: p, members: [%s]}]\nmodels: [{name: m, pool: p}]\n", strings.TrimSuffix(members.String(), ", "))
	d.WriteString(lines)
	for _, section := range []string{"gateway: {listen: \"127.0.0.1:0\", workers: 1}\n", "sidecar: {listen: \"127.0.0.1:0\"}\n"} {
		if name, _, _ := strings.Cut(section, " "); !strings.Contains(lines, name) {
			d.WriteString(section)
		}
	}
	return d.String()
}

// secret is the backends' credential, which must be seen nowhere else.
const secret = "sk-do-not-tell"

// says is a backend with a fixed answer.
func says(t *testing.T, answer string) string {
	t.Helper()
	return upstream(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, answer) })
}

func upstream(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	t.Setenv("KEY", secret)
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	return s.URL
}

// held is a backend that sends the beginning of an answer and then waits: for
// arrived, that a request has come, and for release, to end all answers.
func held(t *testing.T) (url string, arrived <-chan struct{}, release func()) {
	t.Helper()
	came := make(chan struct{}, 100)
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	return upstream(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "the beginning")
		_ = http.NewResponseController(w).Flush()
		came <- struct{}{}
		select {
		case <-ctx.Done():
			_, _ = io.WriteString(w, " and the end")
		case <-r.Context().Done():
		}
	}), came, cancel
}
