package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/tollgate/tollgate/envoy"
	"github.com/tollgate/tollgate/filters/policy"
	"github.com/tollgate/tollgate/sidecar/internal/supervise"
)

// edition is the document as it was read at one time, and what it becomes.
type edition struct {
	at        time.Time
	source    []byte
	document  *policy.Document
	resources *envoy.Resources
}

// read reads the document and the files it names. Each is watched from before it
// is read.
func (g *gateway) read() (*edition, error) {
	e := &edition{at: time.Now()}
	var err error
	if e.source, err = os.ReadFile(g.options.File); err != nil {
		return nil, err
	}
	if e.document, err = policy.Parse(g.options.File, e.source); err != nil {
		return nil, err
	}
	base := filepath.Dir(g.options.File)
	g.watcher.Set(append(named(e.document, base), g.options.File)...)
	e.resources, err = envoy.Render(e.document, envoy.Options{
		Dir:     g.folder.path,
		Module:  g.module,
		BaseDir: base,
		Listen:  g.options.Listen,
	})
	if err != nil {
		return nil, err
	}
	return e, nil
}

// named are the files a document names. Those of a document that cannot be
// rendered, because one of them is missing, are watched too.
func named(d *policy.Document, base string) []string {
	var files []string
	add := func(file string) {
		if file == "" {
			return
		}
		if !filepath.IsAbs(file) {
			file = filepath.Join(base, file)
		}
		files = append(files, file)
	}
	for _, b := range d.Backends {
		if b.Credential != nil {
			add(b.Credential.File)
		}
		if b.TLS != nil {
			add(b.TLS.CA)
		}
	}
	return files
}

// adopt makes an edition the one in force: what a child finds when it starts.
func (g *gateway) adopt(e *edition) error {
	if err := e.resources.Write(g.folder.path); err != nil {
		return fmt.Errorf("run directory: %w", err)
	}
	// A copy for the sidecar, which must start even while the document is broken.
	if err := (envoy.File{Name: document, Content: e.source}).Write(g.folder.path); err != nil {
		return fmt.Errorf("run directory: %w", err)
	}
	g.now.Store(e)
	return nil
}

// reload brings the document into force as it is on disk, or says why not and
// leaves everything as it was.
func (g *gateway) reload(ctx context.Context, sidecar *supervise.Child) {
	began, old := time.Now(), g.now.Load()
	next, err := g.read()
	if err == nil {
		err = g.change(ctx, old, next)
	}
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		for _, problem := range problems(err) {
			g.log.Error(problem.Error())
		}
		g.log.Error("keeping the configuration of " + old.at.Format(time.TimeOnly))
		return
	}
	g.log.Info("new configuration in force", "took", time.Since(began).Round(time.Millisecond))
	if was, is := old.document.Gateway.Workers, next.document.Gateway.Workers; was != is {
		g.log.Warn("gateway.workers takes effect at the next start", "now", was, "then", is)
	}
	if g.listen(old) != g.listen(next) {
		if err := g.announce(ctx); err != nil {
			g.log.Warn("the new address is not known", "cause", err)
		}
	}
	if old.document.Sidecar.Listen != next.document.Sidecar.Listen {
		g.log.Info("sidecar.listen has changed, restarting the sidecar")
		sidecar.Restart()
	}
}

// change rolls the difference between two editions out. When Envoy does not take
// it, the old files are put back in the same orderly way.
func (g *gateway) change(ctx context.Context, old, next *edition) error {
	if was, is := g.listen(old), g.listen(next); port(was) != port(is) {
		if err := g.free(next); err != nil {
			return err
		}
	}
	done, err := g.carryOut(ctx, envoy.Plan(old.resources, next.resources))
	if err == nil {
		return g.adopt(next)
	}
	if ctx.Err() == nil {
		if _, back := g.carryOut(ctx, envoy.Undo(done)); back != nil {
			err = errors.Join(err, fmt.Errorf("restoring: %w", back))
		}
		err = errors.Join(err, g.adopt(old))
	}
	return err
}

// listen is where Envoy accepts clients.
func (g *gateway) listen(e *edition) string {
	if g.options.Listen != "" {
		return g.options.Listen
	}
	return e.document.Gateway.Listen
}

// free checks that nothing listens where Envoy is to. Envoy would not notice
// another Envoy of the same user: it lets sockets share a port, and the kernel
// would deal connections out to both.
func (g *gateway) free(e *edition) error {
	l, err := net.Listen("tcp", g.listen(e))
	if err == nil {
		return l.Close()
	}
	var cause *os.SyscallError
	if errors.As(err, &cause) {
		err = cause.Err
	}
	option := "gateway.listen"
	if g.options.Listen != "" {
		option = "--listen"
	}
	return fmt.Errorf("%s: %s: %w", option, g.listen(e), err)
}

func port(address string) string {
	_, port, _ := net.SplitHostPort(address)
	return port
}

// problems are the errors that were joined into one.
func problems(err error) []error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var all []error
	for _, err := range joined.Unwrap() {
		all = append(all, problems(err)...)
	}
	return all
}
