// Package gateway starts Tollgate for tests, from one document, on one of two
// engines: the compiled module in the strict host, or a real Envoy under
// `tollgate up`. Both are reached as a client reaches them, over HTTP.
//
// It uses the built artefacts bin/tollgate and bin/tollgate.wasm, never the
// packages they were built from.
package gateway

import (
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Engine is a way to run a document.
type Engine interface {
	Name() string

	// Start runs document until the test ends and returns when requests are
	// answered under it. In the document, $GATEWAY and $SIDECAR stand for the
	// addresses of the two listeners. It fails the test where the gateway
	// does not start.
	Start(t testing.TB, document string, options ...Option) *Gateway
}

// Engines are all of them, cheapest first.
func Engines() []Engine { return []Engine{Strict{}, Envoy{}} }

// Option changes how a gateway is started.
type Option func(*Gateway)

// File puts a file beside the document, readable by its owner only. Name is
// relative to the document's folder.
func File(name, content string) Option {
	return func(g *Gateway) { g.Put(g.t, name, content) }
}

// Env sets an environment variable of the gateway's processes.
func Env(name, value string) Option {
	return func(g *Gateway) { g.env = append(g.env, name+"="+value) }
}

// Gateway is a running document.
type Gateway struct {
	// URL is where clients connect, without a trailing slash.
	URL string

	// Addr is the host and port of URL.
	Addr string

	// DocumentPath is the file the gateway was started from.
	DocumentPath string

	// Run is the folder of the rendered files and, on Envoy, the admin socket.
	Run string

	t       testing.TB
	dir     string
	sidecar string
	env     []string
	logs    logs
	told    int // violations that have been asked for
	engine  interface {
		// reload puts the written document in force; the logs had so many
		// bytes when it was written.
		reload(before int) error
		// violations are all so far.
		violations() []string
		// insides are the paths of the admin interface that tell what is
		// inside, if there is one.
		insides() []string
		stop()
	}
}

// Reload replaces the document and returns when the new one is in force.
func (g *Gateway) Reload(t testing.TB, document string) {
	t.Helper()
	if now, err := os.ReadFile(g.DocumentPath); err == nil && string(now) == g.fill(document) {
		return
	}
	before := len(g.Logs())
	g.Write(t, document)
	if err := g.engine.reload(before); err != nil {
		t.Fatalf("reload: %v", err)
	}
}

// Write replaces the document without waiting.
func (g *Gateway) Write(t testing.TB, document string) {
	t.Helper()
	g.Put(t, filepath.Base(g.DocumentPath), g.fill(document))
}

// Put writes a file in the document's folder as an editor does, by rename.
func (g *Gateway) Put(t testing.TB, name, content string) {
	t.Helper()
	path := filepath.Join(g.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	next := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".new")
	if err := os.WriteFile(next, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, path); err != nil {
		t.Fatal(err)
	}
}

func (g *Gateway) fill(document string) string {
	return strings.NewReplacer("$GATEWAY", g.Addr, "$SIDECAR", g.sidecar).Replace(document)
}

// Logs is everything the gateway's processes have written so far.
func (g *Gateway) Logs() string { return g.logs.String() }

// Violations are what the module has done since the last call that its host
// objects to: in the strict host the rules it has broken, on Envoy the VMs that
// had to be replaced and what it has logged as an error.
func (g *Gateway) Violations() []string {
	all := g.engine.violations()
	fresh := all[min(g.told, len(all)):]
	g.told = len(all)
	return fresh
}

// Insides are what an operator can look at, but for the secrets' own files: the
// rendered files, and Envoy's admin interface where there is one.
func (g *Gateway) Insides(t testing.TB) map[string]string {
	t.Helper()
	insides := map[string]string{}
	err := filepath.WalkDir(g.Run, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && entry.Name() == "sds":
			return fs.SkipDir
		case entry.Type().IsRegular():
			text, err := os.ReadFile(path)
			insides[entry.Name()] = string(text)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range g.engine.insides() {
		insides["admin "+path] = g.Admin(t, path)
	}
	return insides
}

// open makes the folder and the document of a gateway that is about to start.
func open(t testing.TB, document string, options []Option) *Gateway {
	t.Helper()
	// Not t.TempDir: a Unix socket's path has room for 107 bytes.
	dir, err := os.MkdirTemp("", "tollgate")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	g := &Gateway{t: t, dir: dir, DocumentPath: filepath.Join(dir, "tollgate.yaml"), Run: filepath.Join(dir, "run")}
	for _, option := range options {
		option(g)
	}
	g.Addr, g.sidecar = freeAddr(t), freeAddr(t)
	g.URL = "http://" + g.Addr
	g.Write(t, document)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("logs of the gateway:\n%s", g.logs.tail(200))
		}
	})
	return g
}

// freeAddr is a loopback address on which nothing listened a moment ago.
func freeAddr(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// Eventually polls until the condition holds and fails the test with what was
// awaited when it does not within the time.
func Eventually(t testing.TB, within time.Duration, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(within); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", within, what)
		}
	}
}
