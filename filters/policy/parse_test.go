//go:build !wasip1

package policy

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
)

const minimal = `backends: [{name: b, url: "http://127.0.0.1:9000"}]
pools: [{name: p, members: [{backend: b}]}]
models: [{name: m, pool: p}]
`

func good(t *testing.T) map[string]*Document {
	t.Helper()
	files, _ := filepath.Glob("testdata/good/*")
	docs := map[string]*Document{}
	for _, file := range files {
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		doc, err := Parse(file, src)
		if err != nil {
			t.Fatal(err)
		}
		docs[filepath.Base(file)] = doc
	}
	if len(docs) == 0 {
		t.Fatal("no fixtures")
	}
	return docs
}

func TestMinimalDocument(t *testing.T) {
	drain := Duration(30 * time.Second)
	want := &Document{
		Gateway:  Gateway{Listen: "127.0.0.1:8080", MaxBody: 8388608, Drain: &drain},
		Sidecar:  Sidecar{Listen: "127.0.0.1:8081"},
		APIs:     []API{{Name: "openai", Shape: OpenAI, Prefix: "/v1"}, {Name: "azure", Shape: Azure, Prefix: "/openai"}},
		Identity: Identity{Anonymous: "refuse"},
		Backends: []Backend{{Name: "b", URL: "http://127.0.0.1:9000", Shape: OpenAI}},
		Pools: []Pool{{
			Name: "p", Strategy: Priority,
			Members: []Member{{Backend: "b", Priority: 1, Weight: 1}},
			Retry:   Retry{Attempts: 3, Timeout: Duration(10 * time.Minute)},
		}},
		Models: []Model{{Name: "m", Pool: "p"}},
	}
	if diff := cmp.Diff(want, good(t)["minimal.yaml"]); diff != "" {
		t.Errorf("document (-want +got):\n%s", diff)
	}
}

func TestCompletedValues(t *testing.T) {
	full := good(t)["full.yaml"]
	var got []string
	for _, b := range full.Backends {
		got = append(got, b.URL)
		if b.Credential != nil {
			got = append(got, fmt.Sprintf("%s %q", b.Credential.Header, *b.Credential.Prefix))
		}
	}
	got = append(got, string(full.Limits.Tokens[0].Key[1]), string(full.Limits.Tokens[0].Key[2]),
		full.Limits.Tokens[0].TokensPerMinute.Header, full.Limits.Tokens[0].Headers.Consumed)
	want := []string{
		"https://contoso-sweden.openai.azure.com", `api-key ""`,
		"https://contoso-east.openai.azure.com/openai/v1", `x-auth "Key "`,
		"http://[fd00::1]:8000/v1",
		"header:x-team", "query:Tenant", "x-tokens-per-minute", "x-consumed",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestCredentialDefaults(t *testing.T) {
	for _, c := range []struct{ name, fields, want string }{
		{"openai", "url: 'https://x'", `authorization "Bearer "`},
		{"azure", "url: 'https://x', shape: azure, apiVersion: v1", `api-key ""`},
		{"azure-v1", "url: 'https://x', shape: azure-v1", `api-key ""`},
	} {
		t.Run(c.name, func(t *testing.T) {
			src := strings.Replace(minimal, `url: "http://127.0.0.1:9000"`, c.fields+", credential: {env: KEY}", 1)
			doc, err := Parse("", []byte(src))
			if err != nil {
				t.Fatal(err)
			}
			got := doc.Backends[0].Credential
			if s := fmt.Sprintf("%s %q", got.Header, *got.Prefix); s != c.want {
				t.Errorf("got %s, want %s", s, c.want)
			}
		})
	}
}

// What the fixtures cannot show, because no editor keeps it.
func TestUnreadableBytes(t *testing.T) {
	for _, c := range []struct{ name, src, want string }{
		{"byte order mark", "\ufeff" + minimal, "f:1:1: a byte order mark; save the file as UTF-8 without one"},
		{"nul", "# ä\x00\n" + minimal, "f:1:4: a control character"},
		{"escape", minimal + "# \x1b[0m\n", "f:4:3: a control character"},
		{"latin-1", minimal + "# \xe4\n", "f:4:3: not UTF-8"},
		{"utf-16", "\xff\xfeb\x00", "f:1:1: not UTF-8"},
		{"crlf", "# ä\r\n\r\nmodels: |\r\n  a\r\n  b\r\npools: {\r\n", "f:6:8: not YAML: could not find flow mapping end token '}'"},
		{"lone carriage return", "a: 1\rb: 2\r", "f:1:5: a carriage return that ends no line"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := Parse("f", []byte(c.src)); err == nil || err.Error() != c.want {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

func TestProblems(t *testing.T) {
	_, err := Parse("f.yaml", []byte(minimal+"gateway: {workers: 300}\nlimit: {}\n"))
	want := []*Problem{
		{"f.yaml", 4, 20, "gateway.workers", "want 0 to 256, got 300"},
		{"f.yaml", 5, 1, "limit", `unknown key; did you mean "limits"?`},
	}
	if diff := cmp.Diff(want, Problems(fmt.Errorf("checking: %w", err))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := Problems(errors.New("another")); got != nil {
		t.Errorf("got %v for another error", got)
	}
	var first *Problem
	if !errors.As(err, &first) || first.Line != 4 {
		t.Errorf("errors.As found %v", first)
	}
}

// A value that may be a secret is in no error, wherever it was pasted.
func TestErrorsKeepSecrets(t *testing.T) {
	const secret = "hunter2hunter2"
	for _, src := range []string{
		"subscriptions: [{name: s, keys: [{sha256: SECRET}]}]",
		"subscriptions: [{name: s, keys: [SECRET]}]",
		"subscriptions: [{name: s, keys: [{sha256:SECRET}]}]",
		"subscriptions: [{name: s, keys: [{sha25:SECRET}]}]",
		"subscriptions: [{name: s, keys: [{sha256=SECRET: x}]}]",
		"subscriptions: [{name: s, keys: SECRET}]",
		"subscriptions: [{name: s, keys: [{sha256: [SECRET]}]}]",
		"subscriptions: [{name: s, keys: [{sha256: \"SECRET]}]",
		"subscriptions: [{name: s, keys: [{sha256: |SECRET\n}]}]",
		"subscriptions: [{name: s, keys: [{sha256: a, sha256: SECRET}]}]",
		"subscriptions:\n  - name: s\n    keys:\n      - sha256:SECRET\n      - x: y\n",
		"backends: [{name: c, url: SECRET}]",
		"backends: [{name: c, url: 'https://u:SECRET@x'}]",
		"backends: [{name: c, url: 'ftp://u:SECRET@x'}]",
		"backends: [{name: c, url: 'https://u:SECRET/x@x'}]",
		"backends: [{name: c, url: 'https://x/?key=SECRET'}]",
		"backends: [{name: c, url: 'https://x/#SECRET'}]",
		"backends: [{name: c, url: 'https://x/SECRET path'}]",
		"backends: [{name: c, url: 'https://x', credential: SECRET}]",
		"backends: [{name: c, url: 'https://x', credential: {env: sk-SECRET}}]",
		"backends: [{name: c, url: 'https://x', credential: {header: 'api-key: SECRET', env: K}}]",
		"backends: [{name: c, url: 'https://x', credential: {prefix: \"SECRET é\", env: K}}]",
		"backends: [{name: c, url: 'https://x', credential: {file: SECRET, env: SECRET}}]",
		"backends: [{name: c, url: 'https://x', credential: {value: SECRET}}]",
	} {
		_, err := Parse("f", []byte(strings.ReplaceAll(src, "SECRET", secret)))
		if err == nil {
			t.Errorf("%s: accepted", src)
		} else if strings.Contains(err.Error(), secret) {
			t.Errorf("%s: the secret is in %q", src, err)
		}
	}
}

// stripped is d without what Compile leaves out.
func stripped(d *Document) *Document {
	c := *d
	c.Sidecar, c.Gateway = Sidecar{}, Gateway{MaxBody: d.Gateway.MaxBody}
	c.Subscriptions = nil // they are in the register
	c.Backends = append([]Backend(nil), d.Backends...)
	for i := range c.Backends {
		c.Backends[i].Credential, c.Backends[i].TLS = nil, nil
	}
	return &c
}

func TestCompiledDocumentLoads(t *testing.T) {
	for name, doc := range good(t) {
		t.Run(name, func(t *testing.T) {
			compiled, err := doc.Compile()
			if err != nil {
				t.Fatal(err)
			}
			got, _, err := Load(string(compiled))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(stripped(doc), got); diff != "" {
				t.Errorf("(-parsed +loaded):\n%s", diff)
			}
			for _, private := range []string{"secrets", "EAST_KEY", "credential", "listen", "drain", "sidecar"} {
				if strings.Contains(string(compiled), private) {
					t.Errorf("%q is in %s", private, compiled)
				}
			}
		})
	}
}

func TestWrittenDocumentReadsTheSame(t *testing.T) {
	for _, as := range []struct {
		name  string
		write func(any) ([]byte, error)
	}{
		{"json", json.Marshal},
		{"yaml", yaml.Marshal},
	} {
		for name, doc := range good(t) {
			t.Run(as.name+"/"+name, func(t *testing.T) {
				src, err := as.write(doc)
				if err != nil {
					t.Fatal(err)
				}
				got, err := Parse("written", src)
				if err != nil {
					t.Fatalf("%v in\n%s", err, src)
				}
				if diff := cmp.Diff(doc, got); diff != "" {
					t.Errorf("(-document +written and read):\n%s", diff)
				}
			})
		}
	}
}

// The round trips above say something about an option only if full.yaml sets it.
func TestFullDocumentSetsEveryOption(t *testing.T) {
	set := map[string]bool{}
	var visit func(name string, v reflect.Value)
	visit = func(name string, v reflect.Value) {
		set[name] = set[name] || !v.IsZero()
		switch v.Kind() {
		case reflect.Pointer:
			if !v.IsNil() {
				visit(name, v.Elem())
			}
		case reflect.Slice:
			for i := range v.Len() {
				visit(name, v.Index(i))
			}
		case reflect.Struct:
			for i := range v.NumField() {
				visit(v.Type().Name()+"."+v.Type().Field(i).Name, v.Field(i))
			}
		}
	}
	visit("Document", reflect.ValueOf(good(t)["full.yaml"]).Elem())
	for name, ok := range set {
		if !ok {
			t.Errorf("%s is not set", name)
		}
	}
	if len(set) < 40 {
		t.Errorf("%d options visited", len(set))
	}
}

// A document of the size that DESIGN promises, in the form people write.
func BenchmarkParse(b *testing.B) {
	src, err := yaml.Marshal(large())
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(src)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse("large", src); err != nil {
			b.Fatal(err)
		}
	}
}

// Ten thousand mistakes cost no more than a constant for each.
func BenchmarkParseMistakes(b *testing.B) {
	doc := large()
	for i := range doc.Subscriptions {
		doc.Subscriptions[i].Product = "silver"
	}
	src, err := yaml.Marshal(doc)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse("large", src); len(Problems(err)) != len(doc.Subscriptions) {
			b.Fatal(len(Problems(err)))
		}
	}
}
