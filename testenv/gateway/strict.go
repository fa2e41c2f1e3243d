package gateway

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/tollgate/tollgate/testenv/strict"
)

// Strict runs a document in the strict host, on the files that `tollgate render
// envoy` writes.
type Strict struct{}

// Name is "strict".
func (Strict) Name() string { return "strict" }

// Start implements Engine.
func (Strict) Start(t testing.TB, document string, options ...Option) *Gateway {
	t.Helper()
	g := open(t, document, options)
	r := &rendered{g: g, program: tollgate(t), module: module(t)}
	g.engine = r
	if err := r.render(); err != nil {
		t.Fatal(err)
	}
	host, err := strict.Start(t.Context(), strict.Options{Dir: g.Run, Workers: workers(document), Log: &g.logs})
	if err != nil {
		t.Fatal(err)
	}
	r.host, g.URL, g.Addr = host, host.URL, strings.TrimPrefix(host.URL, "http://")
	t.Cleanup(r.stop)
	return g
}

// rendered is a document in the strict host.
type rendered struct {
	g               *Gateway
	program, module string
	host            *strict.Host
}

// render writes the files of the document as it stands.
func (r *rendered) render() error {
	cmd := exec.Command(r.program, "render", "envoy", r.g.DocumentPath, "-o", r.g.Run, "--module", r.module)
	cmd.Env = append(os.Environ(), r.g.env...)
	out, err := cmd.CombinedOutput()
	r.g.logs.Write(out)
	if err != nil {
		return fmt.Errorf("tollgate render: %w\n%s", err, out)
	}
	return nil
}

func (r *rendered) reload(int) error {
	if err := r.render(); err != nil {
		return err
	}
	return r.host.Reload()
}

func (r *rendered) violations() []string { return r.host.Violations() }

func (r *rendered) insides() []string { return nil }

func (r *rendered) stop() { r.host.Close() }

// workers is what the document says of them, which on Envoy is a flag and so in
// none of the rendered files.
func workers(document string) int {
	found := regexp.MustCompile(`\bworkers: (\d+)`).FindStringSubmatch(document)
	if found == nil {
		return 1
	}
	n, _ := strconv.Atoi(found[1])
	return n
}
