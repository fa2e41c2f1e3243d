package envoy_test

import (
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tollgate/tollgate/envoy"
)

// TestPlan compares the files of a plan: "-" before one that goes, "?" after one
// that nothing has to show.
func TestPlan(t *testing.T) {
	const (
		a   = "{name: a, url: http://a.example}"
		b   = "{name: b, url: http://b.example}"
		akA = "{name: a, url: http://a.example, credential: {env: KEY_1}}"
		ak2 = "{name: a, url: http://a.example, credential: {env: KEY_2}}"
		akB = "{name: a, url: http://b.example, credential: {env: KEY_2}}"
		akX = "{name: a, url: http://a.example, credential: {env: KEY_1, header: x-key}}"
		bkY = "{name: b, url: http://b.example, credential: {env: KEY_2, header: y-key}}"
	)
	t.Setenv("KEY_1", "one")
	t.Setenv("KEY_2", "two")
	list := func(backends ...string) string { return "backends: [" + strings.Join(backends, ", ") + "]\n" }
	tests := map[string]struct {
		from, to string
		want     string
	}{
		"nothing":                    {list(a, b), list(a, b), ""},
		"a limit":                    {list(a), list(a) + "limits: {tokens: [{name: l, key: [api], tokensPerMinute: 1}]}", "ecds"},
		"the address":                {list(a), list(a) + "gateway: {listen: 127.0.0.1:1}", "lds"},
		"larger bodies":              {list(a), list(a) + "gateway: {maxBody: 16MiB}", "rds ecds"},
		"smaller bodies":             {list(a) + "gateway: {maxBody: 16MiB}", list(a), "ecds ~rds"},
		"a backend comes":            {list(a), list(a, b), "cds rds ecds"},
		"a backend goes":             {list(a, b), list(a), "ecds ~rds cds"},
		"one comes, one goes":        {list(a, b), list(a, strings.ReplaceAll(b, "b", "c")), "cds rds ecds ~rds cds"},
		"a backend moves":            {list(a), list(strings.Replace(a, "http://a", "http://b", 1)), "cds ecds"},
		"a secret comes":             {list(a), list(akA), "sds/a? cds"},
		"a secret goes":              {list(akA), list(a), "cds -sds/a?"},
		"a secret is rotated":        {list(akA), list(ak2), "sds/a"},
		"a secret with its backend":  {list(akA), list(akB), "sds/a? cds ecds ~-sds/a?"},
		"a secret in another header": {list(akA), list(akX), "sds/a? cds -sds/a?"},
		"a header nobody has left":   {list(a, bkY), list(a), "ecds ~rds cds -sds/b?"},
		"the order of the backends":  {list(a, b), list(b, a), "ecds"},
	}
	o := envoy.Options{Dir: "/run/tollgate", Module: "/tollgate.wasm"}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, s := range envoy.Plan(render(t, parse(t, test.from), o), render(t, parse(t, test.to), o)) {
				step := regexp.MustCompile(`/[^/]*\.json$`).ReplaceAllString(s.File.Name, "")
				if s.File.Content == nil {
					step = "-" + step
				}
				if len(s.Await) == 0 {
					step += "?"
				}
				if s.Pause > 0 {
					step = "~" + step
				}
				got = append(got, step)
			}
			if diff := cmp.Diff(test.want, strings.Join(got, " ")); diff != "" {
				t.Errorf("steps (-want +got):\n%s", diff)
			}
		})
	}
}

// TestPlanStrips changes which headers carry credentials while a backend goes: in
// between, no cluster may let either document's through.
func TestPlanStrips(t *testing.T) {
	t.Setenv("KEY", "SECRET")
	o := envoy.Options{Dir: "/run/tollgate", Module: "/tollgate.wasm"}
	from := render(t, parse(t, `
backends:
  - {name: a, url: http://a.example, credential: {env: KEY, header: x-old}}
  - {name: b, url: http://b.example}`), o)
	to := render(t, parse(t, `
backends:
  - {name: a, url: http://a.example, credential: {env: KEY, header: x-new}}`), o)
	removals := func(f envoy.File) string {
		return fmt.Sprint(strings.Count(string(f.Content), `"remove":"x-old"`), " ", strings.Count(string(f.Content), `"remove":"x-new"`))
	}
	var got []string
	for _, s := range envoy.Plan(from, to) {
		if strings.HasPrefix(s.File.Name, "cds/") {
			got = append(got, removals(s.File))
		}
	}
	if diff := cmp.Diff([]string{"2 2", "0 1"}, got); diff != "" {
		t.Errorf("clusters that remove x-old and x-new (-want +got):\n%s", diff)
	}
}

// TestRollout changes everything there is under load.
func TestRollout(t *testing.T) {
	kept, gone, added := serve(t, "kept"), serve(t, "gone"), serve(t, "added")
	t.Setenv("KEY", "SECRET")
	keptURL := strings.Replace(kept.URL, "127.0.0.1", "localhost", 1)
	o := options(t)
	before := render(t, parse(t, fmt.Sprintf(`
backends:
  - {name: a, url: %q}
  - {name: gone, url: %q, credential: {env: KEY, header: x-old}}`, keptURL, gone.URL)), o)
	after := render(t, parse(t, fmt.Sprintf(`
gateway: {maxBody: 4MiB}
backends:
  - {name: a, url: %q, credential: {env: KEY}}
  - {name: added, url: %q, credential: {env: KEY, header: x-new}}`, keptURL, added.URL)), o)
	p := start(t, before, o)

	// A stream that outlives the cluster it came from.
	more := make(chan string)
	gone.answers(func(w http.ResponseWriter, _ *http.Request) {
		for s := range more {
			io.WriteString(w, s)
			w.(http.Flusher).Flush()
		}
	})
	req, _ := http.NewRequest(http.MethodPost, p.url, strings.NewReader("{}"))
	req.Header.Set("x-order", "gone")
	stream := make(chan *http.Response)
	go func() {
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Error(err)
		}
		stream <- res
	}()
	more <- "before "
	res := <-stream
	if res == nil {
		t.FailNow()
	}
	defer res.Body.Close()

	var served, failed atomic.Int64
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if got := p.do("{}", "x-order", "a"); got.status == 200 && got.body == "kept" {
					served.Add(1)
				} else {
					failed.Add(1)
				}
			}
		})
	}
	steps := envoy.Plan(before, after)
	if _, rejected := p.apply(steps); rejected != "" {
		t.Errorf("rejected: %s", rejected)
	}
	close(stop)
	clients.Wait()
	if served.Load() == 0 || failed.Load() > 0 {
		t.Errorf("%d of %d requests failed", failed.Load(), served.Load()+failed.Load())
	}

	more <- "after"
	close(more)
	if body, err := io.ReadAll(res.Body); err != nil || string(body) != "before after" {
		t.Errorf("stream: %q, %v", body, err)
	}
	if got := p.do("{}", "x-order", "gone,added"); got.status != 200 || got.tries != "closed backend/added" {
		t.Errorf("%d after %q", got.status, got.tries)
	}
	if left, _ := filepath.Glob(filepath.Join(o.Dir, "sds", "*")); len(left) != 2 {
		t.Errorf("folders of secrets: %v", left)
	}

	t.Run("back", func(t *testing.T) {
		if _, rejected := p.apply(envoy.Undo(steps)); rejected != "" {
			t.Error(rejected)
		}
		if got := p.do("{}", "x-order", "added,a"); got.status != 200 || got.tries != "closed backend/a" {
			t.Errorf("%d after %q", got.status, got.tries)
		}
	})
}

// TestRejected rolls out what Envoy cannot take, and goes on with the old.
func TestRejected(t *testing.T) {
	a := serve(t, "a")
	backends := fmt.Sprintf("backends: [{name: a, url: %q}]\n", a.URL)
	o := options(t)
	before := render(t, parse(t, backends), o)
	p := start(t, before, o)

	files := held(t, o.Dir)

	taken := serve(t, "").Listener.Addr().String()
	absent := o
	absent.Module = "/no/such/module"
	elsewhere := o
	elsewhere.Listen = taken
	file := filepath.Join(t.TempDir(), "ca.pem")
	os.WriteFile(file, []byte("none"), 0o600)
	t.Setenv("SSL_CERT_FILE", file)
	for name, test := range map[string]struct {
		to   *envoy.Resources
		want string
	}{
		"the filter refuses its policy": {
			render(t, parse(t, backends+"products: [{name: unacceptable}]"), o),
			"extension_config_discovery.http_filter.gateway.update_rejected",
		},
		"a cluster": {
			render(t, document(t, strings.ReplaceAll(rest, "a}", "b}")+`backends: [{name: b, url: "https://127.0.0.1"}]`), o),
			"cluster_manager.cds.update_rejected",
		},
		"no module": {render(t, parse(t, backends), absent), "cluster_manager.cds.update_rejected"},
		"the port is taken": {
			render(t, parse(t, backends), elsewhere),
			"listener_manager.lds.update_rejected",
		},
	} {
		t.Run(name, func(t *testing.T) {
			done, got := p.apply(envoy.Plan(before, test.to))
			if got != test.want {
				t.Errorf("rejected: %q, want %q", got, test.want)
			}
			if got := p.do("{}", "x-order", "a"); got.status != 200 || got.body != "a" {
				t.Errorf("then: %d %s", got.status, got.body)
			}
			if _, got := p.apply(envoy.Undo(done)); got != "" {
				t.Errorf("undone: %s", got)
			}
			if now := held(t, o.Dir); !maps.Equal(now, files) {
				t.Error("undone: the files are others than before")
			}
		})
	}
}

// held is what the files below a folder hold.
func held(t testing.TB, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(filepath.Join(dir, name))
		all[name] = string(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
