package envoy_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tollgate/tollgate/envoy"
	"github.com/tollgate/tollgate/filters/policy"
)

// parse reads a document that lacks nothing but its backends and what refers to
// them.
func parse(t testing.TB, backends string) *policy.Document {
	t.Helper()
	return document(t, backends+rest)
}

const rest = `
pools: [{name: pool, members: [{backend: a}]}]
models: [{name: gpt-4o, pool: pool}]
subscriptions: [{name: demo, keys: [{sha256: c48a01f49fd0f2cc404bc3cbbc80e91457a3d41bb429a695243de4c61794155c}]}]
`

func document(t testing.TB, src string) *policy.Document {
	t.Helper()
	doc, err := policy.Parse("tollgate.yaml", []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func render(t testing.TB, doc *policy.Document, o envoy.Options) *envoy.Resources {
	t.Helper()
	r, err := envoy.Render(doc, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// module builds the stub that plays both roles of the module.
var module = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "stub")
	if err != nil {
		return "", err
	}
	file := filepath.Join(dir, "stub.wasm")
	cmd := exec.Command("go", "build", "-buildmode=c-shared", "-o", file, "./testdata/stub")
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the stub: %w\n%s", err, out)
	}
	return file, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if file, err := module(); err == nil {
		os.RemoveAll(filepath.Dir(file))
	}
	os.Exit(code)
}

// binary is $ENVOY, else envoy on the PATH, else the one below the checkout.
func binary(t testing.TB) string {
	t.Helper()
	if file := os.Getenv("ENVOY"); file != "" {
		return file
	}
	if file, err := exec.LookPath("envoy"); err == nil {
		return file
	}
	file, err := filepath.Abs("../.tools/envoy/envoy/_bin/envoy")
	if err == nil {
		_, err = os.Stat(file)
	}
	if err != nil {
		t.Fatalf("no Envoy in $ENVOY, on the PATH or in .tools: run make test (%v)", err)
	}
	return file
}

// patience is how long anything may take on a machine that is doing much else.
const patience = 2 * time.Minute

// proxy is an Envoy running on rendered resources.
type proxy struct {
	t   testing.TB
	dir string
	url string
	log *output
}

// options are those of an Envoy in a folder of its own.
func options(t testing.TB) envoy.Options {
	t.Helper()
	stub, err := module()
	if err != nil {
		t.Fatal(err)
	}
	return envoy.Options{Dir: t.TempDir(), Module: stub, Listen: "127.0.0.1:0"}
}

// start runs an Envoy until the end of the test. Its log is shown when the test
// fails.
func start(t testing.TB, r *envoy.Resources, o envoy.Options) *proxy {
	t.Helper()
	if err := r.Write(o.Dir); err != nil {
		t.Fatal(err)
	}
	p := &proxy{t: t, dir: o.Dir, log: &output{}}
	cmd := exec.Command(binary(t), "-c", filepath.Join(o.Dir, envoy.BootstrapFile),
		"--disable-hot-restart", "--concurrency", "2", "--drain-time-s", "1", "--log-level", "warning")
	cmd.Stdout, cmd.Stderr = p.log, p.log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() { cmd.Wait(); close(exited) }()
	t.Cleanup(func() {
		cmd.Process.Kill()
		<-exited
		if t.Failed() {
			t.Logf("envoy:\n%s", p.log)
		}
	})
	p.until("ready", func() bool {
		select {
		case <-exited:
			t.Fatalf("envoy ended: %v", cmd.ProcessState)
		default:
		}
		return strings.Contains(p.admin("ready"), "LIVE")
	})
	// "tollgate::127.0.0.1:39301"
	_, address, _ := strings.Cut(strings.TrimSpace(p.admin("listeners")), "::")
	p.url = "http://" + address
	return p
}

func (p *proxy) until(what string, done func() bool) {
	p.t.Helper()
	for deadline := time.Now().Add(patience); !done(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			p.t.Fatalf("not %s within %v", what, patience)
		}
	}
}

// admin is an answer of Envoy's administrator, or nothing.
func (p *proxy) admin(path string) string {
	c := &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(p.dir, envoy.AdminSocket))
		},
		DisableKeepAlives: true,
	}}
	res, err := c.Get("http://envoy/" + path)
	if err != nil {
		return ""
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	return string(body)
}

// stats are all statistics, texts without their quotes.
func (p *proxy) stats() map[string]string {
	all := map[string]string{}
	for line := range strings.Lines(p.admin("stats")) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ": "); ok {
			all[name] = strings.Trim(value, `"`)
		}
	}
	return all
}

// apply carries a plan out as a rollout does. It ends at a step that was rejected,
// with the counter that says so. done are the steps up to there.
func (p *proxy) apply(steps []envoy.Step) (done []envoy.Step, rejected string) {
	p.t.Helper()
	for i, s := range steps {
		before := p.stats()
		if err := s.File.Write(p.dir); err != nil {
			p.t.Fatal(err)
		}
		p.until(fmt.Sprintf("%s in force: %v", s.File.Name, s.Await), func() bool {
			now := p.stats()
			for _, name := range s.Rejected {
				if now[name] != before[name] {
					rejected = name
					return true
				}
			}
			return !slices.ContainsFunc(s.Await, func(w envoy.Stat) bool { return now[w.Name] != w.Value })
		})
		if rejected != "" {
			return steps[:i+1], rejected
		}
	}
	return steps, ""
}

// do sends a request and returns its answer, read to the end.
func (p *proxy) do(body string, headers ...string) *answer {
	p.t.Helper()
	req, err := http.NewRequest(http.MethodPost, p.url+"/v1/chat/completions", strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := c.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer res.Body.Close()
	content, err := io.ReadAll(res.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return &answer{
		status: res.StatusCode,
		body:   string(content),
		tries:  res.Header.Get("x-tries"),
		seen:   strings.Fields(res.Header.Get("x-seen")),
		source: res.Header.Get("x-source"),
	}
}

// answer is what came back: its status and body, the clusters that were tried,
// and what the gateway filter saw: the names of the headers and source.address.
type answer struct {
	status int
	body   string
	tries  string
	seen   []string
	source string
}

// provider is a backend that remembers what it was sent.
type provider struct {
	*httptest.Server
	mu     sync.Mutex
	got    []*http.Request
	sizes  []int
	answer http.HandlerFunc
}

// serve runs a backend that answers 200 and its name.
func serve(t testing.TB, name string) *provider {
	p := newProvider(name)
	p.Server = httptest.NewServer(p)
	t.Cleanup(p.Close)
	return p
}

func newProvider(name string) *provider {
	return &provider{answer: func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, name) }}
}

func (p *provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n, _ := io.Copy(io.Discard, r.Body)
	p.mu.Lock()
	p.got, p.sizes = append(p.got, r), append(p.sizes, int(n))
	answer := p.answer
	p.mu.Unlock()
	answer(w, r)
}

// answers changes what the backend says.
func (p *provider) answers(f http.HandlerFunc) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answer = f
}

func (p *provider) fails(status int) {
	p.answers(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
}

// last is the headers of the last request, without those of no interest.
func (p *provider) last() map[string]string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.got) == 0 {
		return nil
	}
	out := map[string]string{}
	for name, values := range p.got[len(p.got)-1].Header {
		out[strings.ToLower(name)] = strings.Join(values, ",")
	}
	maps.DeleteFunc(out, func(name, _ string) bool {
		return slices.Contains([]string{"content-length", "user-agent", "x-request-id", "x-order"}, name)
	})
	return out
}

// output is Envoy's.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *output) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *output) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}
