package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tollgate/tollgate/filters/policy"
)

const dir = "../.."

func TestCommittedPageIsCurrent(t *testing.T) {
	want, err := generate(dir)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(dir, "REFERENCE.md"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("run `go generate ./filters/policy` (-want +got):\n%s", diff)
	}
}

func options(t *testing.T) []option {
	t.Helper()
	src, err := read(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []option
	for _, s := range src.sections() {
		all = append(all, s.options...)
	}
	return all
}

// A default that a comment states as a value is the one that Parse fills in.
func TestDefaultsAreTrue(t *testing.T) {
	doc, err := policy.Parse("", []byte(`
apis: [{name: a, shape: openai}]
subscriptions: [{name: s, keys: [{sha256: `+strings.Repeat("a", 64)+`}]}]
backends: [{name: b, url: "https://x", credential: {env: KEY}, tls: {}}]
pools: [{name: p, members: [{backend: b}]}]
models: [{name: m, pool: p}]
limits: {tokens: [{name: l, key: [api], tokensPerMinute: {header: x-rate, default: 7, max: 9}}]}
`))
	if err != nil {
		t.Fatal(err)
	}
	src, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	var tree any
	if err := json.Unmarshal(src, &tree); err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, o := range options(t) {
		want, _, _ := strings.Cut(o.value, ",")
		if want == "" || want == "required" || strings.Contains(want, " ") {
			continue // a rule, not a value
		}
		got := ""
		if v := lookup(tree, strings.Split(o.path, ".")); v != nil {
			got = fmt.Sprint(v)
		}
		if got == "" && (want == "0" || want == "false" || want == "none" || want == "all") || got == want {
			checked++
			continue
		}
		if o.path == "backends[].credential" || o.path == "backends[].tls" || o.path == "subscriptions" ||
			o.path == "limits.tokens" || o.path == "backends[].credential.env" || o.path == "limits.tokens[].tokensPerMinute.header" {
			continue // set above
		}
		t.Errorf("%s: the comment says %q, Parse gives %q", o.path, want, got)
	}
	if checked < 20 {
		t.Errorf("%d defaults checked", checked)
	}
}

func lookup(tree any, path []string) any {
	for _, step := range path {
		key, list := strings.CutSuffix(step, "[]")
		m, _ := tree.(map[string]any)
		tree = m[key]
		if items, ok := tree.([]any); ok && list {
			tree = items[0]
		}
	}
	return tree
}

// Bounds that a comment states are those of an error, in a fixture.
func TestBoundsAreTrue(t *testing.T) {
	files, _ := filepath.Glob(filepath.Join(dir, "testdata/mistakes/*.txt"))
	var fixtures strings.Builder
	for _, file := range files {
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		fixtures.Write(src)
	}
	for _, o := range options(t) {
		bounds := strings.NewReplacer("1 to default", "1 to 1000000000", "default to", "1 to").Replace(o.bounds)
		path := strings.ReplaceAll(regexp.QuoteMeta(o.path), `\[\]`, `\[\d+\]`)
		want := regexp.MustCompile(`: ` + path + `: want ` + regexp.QuoteMeta(bounds) + `, got`)
		if bounds != "" && !want.MatchString(fixtures.String()) {
			t.Errorf("%s: no mistake has %q", o.path, want)
		}
	}
}
