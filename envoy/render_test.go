package envoy_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tollgate/tollgate/envoy"
	"github.com/tollgate/tollgate/filters/policy"
)

var update = flag.Bool("update", false, "write the golden files")

// example is a document of examples/ and what it is rendered with in the tests.
// The keys and the authority that it names are in testdata/base.
func example(t testing.TB, file string) (*policy.Document, envoy.Options) {
	t.Helper()
	src, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := policy.Parse(file, src)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("AZURE_OPENAI_API_KEY", "azure-key-for-tests")
	t.Setenv("OPENAI_API_KEY", "openai-key-for-tests")
	t.Setenv("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt")
	return doc, envoy.Options{Dir: "/run/tollgate", Module: "/usr/lib/tollgate.wasm", BaseDir: "testdata/base"}
}

func examples(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob("examples/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no examples: %v", err)
	}
	return files
}

// TestGolden compares the resources of each example with testdata/. Run it with
// -update after a change that is meant.
func TestGolden(t *testing.T) {
	for _, file := range examples(t) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			doc, o := example(t, file)
			got, err := render(t, doc, o).YAML()
			if err != nil {
				t.Fatal(err)
			}
			golden := filepath.Join("testdata", filepath.Base(file))
			if *update {
				if err := os.WriteFile(golden, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", golden, diff)
			}
		})
	}
}

// TestExamples runs the examples. Hosts of others are not looked up.
func TestExamples(t *testing.T) {
	for _, file := range examples(t) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			doc, o := example(t, file)
			for i := range doc.Backends {
				b := &doc.Backends[i]
				for _, host := range []string{"contoso-sweden.openai.azure.com", "contoso-east.openai.azure.com", "api.openai.com", "models.example.internal"} {
					b.URL = strings.Replace(b.URL, host, "localhost", 1)
				}
			}
			own := options(t)
			o.Dir, o.Module, o.Listen = own.Dir, own.Module, own.Listen
			r := render(t, doc, o)
			p := start(t, r, o)

			out, err := exec.Command(binary(t), "--mode", "validate", "-c", filepath.Join(o.Dir, envoy.BootstrapFile)).CombinedOutput()
			if err != nil {
				t.Errorf("validate: %v\n%s", err, out)
			}
			stats := p.stats()
			for _, s := range envoy.Plan(new(envoy.Resources), r) {
				for _, name := range s.Rejected {
					// Of some counters Envoy makes none before it needs one.
					if n, ok := stats[name]; ok && n != "0" {
						t.Errorf("%s: %s", name, n)
					}
				}
				for _, w := range s.Await {
					if stats[w.Name] != w.Value {
						t.Errorf("%s: %q, want %q", w.Name, stats[w.Name], w.Value)
					}
				}
			}
			dump := p.admin("config_dump")
			for _, b := range doc.Backends {
				if !strings.Contains(dump, `"backend/`+b.Name+`"`) {
					t.Errorf("the config dump lacks backend %s", b.Name)
				}
			}
			if strings.Contains(dump, "for-tests") {
				t.Error("the config dump holds a secret")
			}
		})
	}
}

// TestManySecrets starts with more secrets than a user has inotify instances.
func TestManySecrets(t *testing.T) {
	t.Setenv("KEY", "SECRET")
	var backends strings.Builder
	backends.WriteString("backends:\n")
	for i := range 150 {
		name := "a"
		if i > 0 {
			name = strings.Repeat("b", i%50+1) + strings.Repeat("c", i/50)
		}
		backends.WriteString("  - {name: " + name + ", url: http://127.0.0.1:1, credential: {env: KEY}}\n")
	}
	o := options(t)
	p := start(t, render(t, parse(t, backends.String()), o), o)
	if got := p.do("{}"); got.tries != "closed" {
		t.Errorf("%d after %q", got.status, got.tries)
	}
}

func TestSecrets(t *testing.T) {
	doc, o := example(t, "examples/azure.yaml")
	r := render(t, doc, o)
	y, err := r.YAML()
	if err != nil {
		t.Fatal(err)
	}
	holders := 0
	for _, f := range append(r.Files(), envoy.File{Name: "YAML", Content: y}) {
		holds := bytes.Contains(f.Content, []byte("for-tests"))
		if holds != strings.HasPrefix(f.Name, "sds/") {
			t.Errorf("%s holds a secret: %v", f.Name, holds)
		}
		if holds {
			holders++
		}
	}
	if holders != 2 {
		t.Errorf("%d files with secrets, want 2", holders)
	}

	os.Unsetenv("AZURE_OPENAI_API_KEY")
	o.BaseDir, o.Redact = "/nowhere", true
	shown, err := render(t, doc, o).YAML()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(y), string(shown)); diff != "" {
		t.Errorf("without the secrets at hand (-want +got):\n%s", diff)
	}
}

func TestDeterministic(t *testing.T) {
	doc, o := example(t, "examples/azure.yaml")
	first := render(t, doc, o).Files()
	for range 20 {
		if diff := cmp.Diff(first, render(t, doc, o).Files()); diff != "" {
			t.Fatal(diff)
		}
	}
	for _, f := range first {
		var file struct {
			VersionInfo string `json:"version_info"`
		}
		if err := json.Unmarshal(f.Content, &file); err != nil || file.VersionInfo != f.Version {
			t.Errorf("%s: version %q in it, %q beside it, %v", f.Name, file.VersionInfo, f.Version, err)
		}
	}
}

func TestErrors(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	write("empty", " \n")
	write("lines", "two\nlines\n")
	write("text.pem", "no certificate")
	tests := map[string]struct {
		backends string
		options  envoy.Options
		want     string
	}{
		"variable not set": {
			backends: "{name: a, url: http://a.example, credential: {env: TOLLGATE_NOT_SET}}",
			want:     "backends[0].credential: env: TOLLGATE_NOT_SET is not set",
		},
		"empty variable": {
			backends: "{name: a, url: http://a.example, credential: {env: TOLLGATE_EMPTY}}",
			want:     "backends[0].credential: env: TOLLGATE_EMPTY is empty",
		},
		"no file": {
			backends: "{name: a, url: http://a.example, credential: {file: none}}",
			want:     "backends[0].credential: file: open DIR/none: no such file or directory",
		},
		"empty file": {
			backends: "{name: a, url: http://a.example, credential: {file: empty}}",
			want:     "backends[0].credential: file: empty is empty",
		},
		"file of two lines": {
			backends: "{name: a, url: http://a.example, credential: {file: lines}}",
			want:     "backends[0].credential: file: lines cannot stand in a header: control character at byte 3",
		},
		"no authorities": {
			backends: "{name: a, url: https://a.example, tls: {ca: none.pem}}",
			want:     "backends[0].tls.ca: open DIR/none.pem: no such file or directory",
		},
		"authorities without a certificate": {
			backends: "{name: a, url: https://a.example, tls: {ca: text.pem}}",
			want:     "backends[0].tls.ca: text.pem: no PEM certificate in it",
		},
		"address": {
			backends: "{name: a, url: http://a.example}",
			options:  envoy.Options{Listen: "localhost:8080"},
			want:     `listen: want an IP address and a port such as 127.0.0.1:8080, got "localhost:8080"`,
		},
		"long folder": {
			backends: "{name: a, url: http://a.example}",
			options:  envoy.Options{Dir: "/" + strings.Repeat("d", 93)},
			want:     "dir: /" + strings.Repeat("d", 93) + "/admin.sock: longer than the 103 bytes that the path of a socket may have",
		},
		"all at once": {
			backends: "{name: a, url: http://a.example, credential: {file: none}}, {name: b, url: http://b.example, credential: {env: TOLLGATE_NOT_SET}}",
			options:  envoy.Options{Listen: "8080"},
			want: `listen: want an IP address and a port such as 127.0.0.1:8080, got "8080"
backends[0].credential: file: open DIR/none: no such file or directory
backends[1].credential: env: TOLLGATE_NOT_SET is not set`,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Setenv("TOLLGATE_EMPTY", "")
			o := test.options
			o.BaseDir, o.Module = dir, "/tollgate.wasm"
			_, err := envoy.Render(parse(t, "backends: ["+test.backends+"]"), o)
			if err == nil {
				t.Fatal("no error")
			}
			if diff := cmp.Diff(test.want, strings.ReplaceAll(err.Error(), dir, "DIR")); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
		})
	}
}

// TestInvalid breaks what lies inside of Anys that lie inside of Anys.
func TestInvalid(t *testing.T) {
	doc := parse(t, "backends: [{name: a, url: http://a.example}]")
	for name, test := range map[string]struct{ module, want string }{
		"a rule of Envoy's": {"", "invalid DataSource.Filename: value length must be at least 1 runes"},
		"not UTF-8":         {"\xff", "string field contains invalid UTF-8"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := envoy.Render(doc, envoy.Options{Module: test.module})
			for _, where := range []string{"cluster backend/a", "cluster closed", "extension gateway"} {
				if err == nil || strings.Count(err.Error(), where+": ") != 1 {
					t.Errorf("error %v, want one for %s", err, where)
				}
			}
			if err != nil && strings.Count(err.Error(), test.want) != 3 {
				t.Errorf("error %v, want %q", err, test.want)
			}
		})
	}
}

func TestWrite(t *testing.T) {
	t.Setenv("KEY", "SECRET")
	dir := t.TempDir()
	o := envoy.Options{Dir: dir, Module: "/tollgate.wasm"}
	two := render(t, parse(t, `
backends:
  - {name: a, url: http://a.example, credential: {env: KEY}}
  - {name: b, url: http://b.example, credential: {env: KEY}}`), o)
	if err := two.Write(dir); err != nil {
		t.Fatal(err)
	}
	modes := map[string]string{}
	for name := range held(t, dir) {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		modes[filepath.Dir(name)] = info.Mode().String()
	}
	if diff := cmp.Diff(map[string]string{
		".": "-rw-r--r--", "lds": "-rw-r--r--", "rds": "-rw-r--r--", "cds": "-rw-r--r--", "ecds": "-rw-r--r--",
		"sds/a": "-rw-------", "sds/b": "-rw-------",
	}, modes); diff != "" {
		t.Errorf("modes (-want +got):\n%s", diff)
	}

	one := render(t, parse(t, "backends: [{name: a, url: http://a.example, credential: {env: KEY}}]"), o)
	stamp := func(name string) os.FileInfo {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return info
	}
	listeners, clusters := stamp("lds/lds.json"), stamp("cds/cds.json")
	if err := one.Write(dir); err != nil {
		t.Fatal(err)
	}
	if !os.SameFile(listeners, stamp("lds/lds.json")) {
		t.Error("an unchanged file has been replaced")
	}
	if os.SameFile(clusters, stamp("cds/cds.json")) {
		t.Error("a changed file has been written in place")
	}
	if _, err := os.Stat(filepath.Join(dir, "sds", "b")); !os.IsNotExist(err) {
		t.Errorf("the secret of a backend that is gone: %v", err)
	}
	want := map[string]string{}
	for _, f := range one.Files() {
		want[f.Name] = string(f.Content)
	}
	if diff := cmp.Diff(want, held(t, dir)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

// BenchmarkRender renders and plans for 10,000 subscriptions and 300 backends,
// one of which is new.
func BenchmarkRender(b *testing.B) {
	doc := parse(b, "backends: [{name: a, url: http://a.example}]")
	for i := range 299 {
		backend := doc.Backends[0]
		backend.Name = fmt.Sprint("b", i)
		doc.Backends = append(doc.Backends, backend)
	}
	for i := range 9_999 {
		doc.Subscriptions = append(doc.Subscriptions, policy.Subscription{
			Name: fmt.Sprint("team-", i),
			Keys: []policy.Key{{SHA256: fmt.Sprintf("%064x", i)}},
		})
	}
	o := envoy.Options{Dir: "/run/tollgate", Module: "/tollgate.wasm"}
	from := render(b, doc, o)
	doc.Backends = append(doc.Backends, policy.Backend{Name: "new", URL: "http://new.example", Shape: policy.OpenAI})
	b.ReportAllocs()
	for b.Loop() {
		if steps := envoy.Plan(from, render(b, doc, o)); len(steps) != 3 {
			b.Fatalf("%d steps", len(steps))
		}
	}
}

// TestReadme holds the configuration that the first page shows against the
// example it names.
func TestReadme(t *testing.T) {
	page, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	src, err := os.ReadFile("examples/quickstart.yaml")
	if err != nil {
		t.Fatal(err)
	}
	_, document, _ := strings.Cut(string(src), "\nsubscriptions:")
	if want := "```yaml\nsubscriptions:" + document + "```"; !strings.Contains(string(page), want) {
		t.Errorf("../README.md does not show examples/quickstart.yaml:\n%s", want)
	}
}
