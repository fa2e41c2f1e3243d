package gateway

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

const envoyLog = `[2026-11-21 14:00:21.188][9870][warning][main] [source/server/server.cc:1059] There is no limit
[2026-11-21 14:00:21.190][9870][error][config] [source/common/lm.cc:1405] listener 'tollgate' failed to bind
[2026-11-21 14:00:21.191][9870][warning][config] [source/fs.cc:81] Filesystem config update rejected: Error adding: cannot bind
  and more of it
[2026-11-21 14:00:22.144][9870][info][main] [source/server/server.cc:1028] caught ENVOY_SIGTERM
[2026-11-21 14:00:22.150][9870][critical][wasm] plugin panicked
`

func TestLines(t *testing.T) {
	for _, test := range []struct {
		name  string
		level slog.Level
		want  []string
	}{
		{name: "all", level: slog.LevelInfo, want: []string{"There is no limit", "failed to bind", "rejected", "  and more of it", "caught", "panicked"}},
		{name: "errors and what belongs to them", level: slog.LevelError, want: []string{"failed to bind", "panicked"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var out bytes.Buffer
			l := envoyLines(&out, test.level)
			for i := range len(envoyLog) {
				if n, err := l.Write([]byte(envoyLog[i : i+1])); n != 1 || err != nil {
					t.Fatal(n, err)
				}
			}
			got := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
			if len(got) != len(test.want) {
				t.Fatalf("%q", got)
			}
			for i, want := range test.want {
				if !strings.HasPrefix(got[i], "envoy: ") || !strings.Contains(got[i], want) {
					t.Errorf("line %d: %q, want %q in it", i, got[i], want)
				}
			}
		})
	}
}

func TestComplaint(t *testing.T) {
	l := envoyLines(&bytes.Buffer{}, slog.LevelError)
	for _, test := range []struct{ upTo, want string }{
		{upTo: "There is no limit\n", want: ""},
		{upTo: "failed to bind\n", want: "listener 'tollgate' failed to bind"},
		{upTo: "cannot bind\n", want: "Error adding: cannot bind"},
		{upTo: "panicked\n", want: "plugin panicked"},
	} {
		all, _, _ := strings.Cut(envoyLog, test.upTo)
		l.complaint = ""
		if _, err := l.Write([]byte(all + test.upTo)); err != nil {
			t.Fatal(err)
		}
		if got := l.take(); got != test.want {
			t.Errorf("complaint %q, want %q", got, test.want)
		}
		if got := l.take(); got != "" {
			t.Errorf("taken twice: %q", got)
		}
	}
}

func TestALineWithoutEndIsBounded(t *testing.T) {
	var out bytes.Buffer
	l := &lines{name: "x", to: &out}
	for range 3 {
		if _, err := l.Write(bytes.Repeat([]byte("a"), longestLine)); err != nil {
			t.Fatal(err)
		}
	}
	if len(l.rest) >= longestLine || strings.Count(out.String(), "\n") != 3 {
		t.Errorf("%d bytes held, %d lines", len(l.rest), strings.Count(out.String(), "\n"))
	}
}

func FuzzLines(f *testing.F) {
	f.Add(envoyLog, 7)
	f.Fuzz(func(t *testing.T, log string, at int) {
		whole, parts := &bytes.Buffer{}, &bytes.Buffer{}
		a, b := envoyLines(whole, slog.LevelInfo), envoyLines(parts, slog.LevelInfo)
		at = max(0, min(at, len(log)))
		for _, w := range []struct {
			l *lines
			p string
		}{{a, log}, {b, log[:at]}, {b, log[at:]}} {
			if n, err := w.l.Write([]byte(w.p)); n != len(w.p) || err != nil {
				t.Fatal(n, err)
			}
		}
		if len(log) < longestLine && whole.String() != parts.String() {
			t.Errorf("%q and %q", whole, parts)
		}
	})
}
