package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/tollgate/tollgate/filters/policy"
)

const small = `backends: [{name: one, url: "http://127.0.0.1:9000"}]
pools: [{name: p, members: [{backend: one}]}]
models: [{name: m, pool: p}]
`

// command runs the program in this process.
func command(in string, args ...string) (code int, out, err string) {
	var o, e bytes.Buffer
	code = run(args, streams{strings.NewReader(in), &o, &e})
	return code, o.String(), e.String()
}

func file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestCheck(t *testing.T) {
	good := file(t, "good.yaml", small)
	bad := file(t, "bad.yaml", small+"gateway: {workers: 300, lisen: x}\n")
	missing := filepath.Join(t.TempDir(), "missing.yaml")
	wantGood := good + ": 1 model, 1 pool, 1 backend, 0 subscriptions, 0 token limits\n"
	wantBad := fmt.Sprintf("%[1]s:4:20: gateway.workers: want 0 to 256, got 300\n%[1]s:4:25: gateway.lisen: unknown key; did you mean \"listen\"?\n", bad)
	wantMissing := "open " + missing + ": no such file or directory\n"
	for _, test := range []struct {
		name     string
		args     []string
		code     int
		out, err string
	}{
		{name: "good", args: []string{good}, out: wantGood},
		{name: "every problem", args: []string{bad}, code: 1, err: wantBad},
		{name: "every file", args: []string{bad, missing, good}, code: 1, out: wantGood, err: wantBad + wantMissing},
		{name: "none", code: 2, err: "tollgate: expected \"<file> ...\"\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			code, out, err := command("", append([]string{"check"}, test.args...)...)
			if code != test.code || out != test.out || err != test.err {
				t.Errorf("exit %d\n%s\n%s\nwant %d\n%s\n%s", code, out, err, test.code, test.out, test.err)
			}
		})
	}
}

func TestRenderEnvoy(t *testing.T) {
	t.Setenv("SECRET", "sk-very-secret")
	doc := file(t, "tollgate.yaml", strings.Replace(small, `"}`, `", credential: {env: SECRET}}`, 1))

	code, out, err := command("", "render", "envoy", doc, "--module", "/x/tollgate.wasm")
	if code != 0 || err != "" {
		t.Fatalf("exit %d: %s", code, err)
	}
	if strings.Contains(out, "sk-very-secret") || !strings.Contains(out, "/x/tollgate.wasm") {
		t.Error("want YAML with the module and without the secret")
	}

	dir := filepath.Join(t.TempDir(), "run")
	code, out, err = command("", "render", "envoy", doc, "-o", dir)
	if code != 0 || out != "" || err != "" {
		t.Fatalf("exit %d: %s%s", code, out, err)
	}
	for _, name := range []string{"bootstrap.json", "lds/lds.json", "rds/rds.json", "cds/cds.json", "ecds/gateway.json"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}

	os.Unsetenv("SECRET")
	code, _, err = command("", "render", "envoy", doc, "-o", dir)
	if want := "backends[0].credential: env: SECRET is not set\n"; code != 1 || err != want {
		t.Errorf("exit %d, %q, want 1, %q", code, err, want)
	}
	if code, _, err = command("", "render", "envoy", doc); code != 0 {
		t.Errorf("exit %d: %s; want no need of the secret to show the rest", code, err)
	}
}

func TestKey(t *testing.T) {
	seen := map[string]bool{}
	for _, name := range []string{"client", "team-a", "007"} {
		args := []string{"key", name}
		if name == "client" {
			args = args[:1]
		}
		code, out, err := command("", args...)
		if code != 0 || err != "" {
			t.Fatalf("exit %d: %s", code, err)
		}
		made, snippet, _ := strings.Cut(out, "\n")
		random, decodeErr := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(made, "tg-"))
		if !strings.HasPrefix(made, "tg-") || decodeErr != nil || len(random) != 32 || seen[made] {
			t.Errorf("key %q", made)
		}
		seen[made] = true
		if strings.Contains(snippet, made) {
			t.Error("the key is in the snippet")
		}
		d, parseErr := policy.Parse("tollgate.yaml", []byte(small+snippet))
		if parseErr != nil {
			t.Fatal(parseErr)
		}
		s := d.Subscriptions[0]
		if s.Name != name || s.Keys[0].SHA256 != fmt.Sprintf("%x", sha256.Sum256([]byte(made))) {
			t.Errorf("%+v", s)
		}
	}
}

func TestKeyHash(t *testing.T) {
	const demo = "c48a01f49fd0f2cc404bc3cbbc80e91457a3d41bb429a695243de4c61794155c\n" // of demo-key
	for _, test := range []struct {
		name, in string
		code     int
		out, err string
	}{
		{name: "a line", in: "demo-key\n", out: demo},
		{name: "no end of line", in: "demo-key", out: demo},
		{name: "Windows", in: "demo-key\r\n", out: demo},
		{name: "nothing", in: "\n", code: 1, err: "standard input: no key in it\n"},
		{name: "two lines", in: "a\nb\n", code: 1, err: "standard input: white space in the key\n"},
		{name: "too long", in: strings.Repeat("a", longestKey+1), code: 1, err: "standard input: a key has at most 65536 bytes\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			code, out, err := command(test.in, "key", "--hash")
			if code != test.code || out != test.out || err != test.err {
				t.Errorf("exit %d, %q, %q; want %d, %q, %q", code, out, err, test.code, test.out, test.err)
			}
		})
	}
}

func TestVersion(t *testing.T) {
	code, out, _ := command("", "version")
	if code != 0 || !regexp.MustCompile(`^tollgate \S+ go\S+ \w+/\w+\n$`).MatchString(out) {
		t.Errorf("exit %d, %q", code, out)
	}
}

func TestUsage(t *testing.T) {
	if code, out, _ := command("", "--help"); code != 0 || !strings.Contains(out, "Usage: tollgate <command>") {
		t.Errorf("exit %d, %q", code, out)
	}
	if code, _, err := command("", "up", "--log-level", "loud", "x"); code != 2 || !strings.HasPrefix(err, "tollgate: --log-level must be one of") {
		t.Errorf("exit %d, %q", code, err)
	}
}
