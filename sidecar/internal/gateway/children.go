package gateway

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/tollgate/tollgate/sidecar/internal/supervise"
)

// drainTime is how long a listener that a change has replaced lets its
// connections finish what they are doing. Envoy's own 10 minutes would cut longer
// answers; the longest a document allows until an answer begins is an hour.
const drainTime = 2 * time.Hour

// startEnvoy starts Envoy on the files of the edition in force.
func (g *gateway) startEnvoy() (supervise.Process, error) {
	args := []string{
		"-c", filepath.Join(g.folder.path, "bootstrap.json"),
		"--disable-hot-restart",
		"--log-level", envoyLevel(g.options.Level),
		"--drain-time-s", strconv.Itoa(int(drainTime.Seconds())),
		// Connections of a replaced listener are closed with their next answer, not
		// one by one over the drain time.
		"--drain-strategy", "immediate",
	}
	if n := g.now.Load().document.Gateway.Workers; n > 0 {
		args = append(args, "--concurrency", strconv.Itoa(n))
	}
	cmd := exec.Command(g.envoy, args...)
	cmd.Stdout, cmd.Stderr = g.envoyLog, g.envoyLog
	return g.spawner.Start(cmd)
}

// envoyReady waits until the first Envoy answers clients on the files it was
// started on.
func (g *gateway) envoyReady(ctx context.Context) error {
	if err := g.roller.Await(ctx, g.options.Start, g.loaded(g.now.Load())); err != nil {
		return err
	}
	return g.answering(ctx)
}

// revived says when an Envoy that has taken another's place answers clients. Its
// files may be changed at the same time, which is the rollout's to wait for.
func (g *gateway) revived(ctx context.Context) {
	if err := g.answering(ctx); err != nil && ctx.Err() == nil {
		g.log.Error("envoy is back but answers no clients", "cause", g.because(err))
	}
}

// answering waits until Envoy has a listener, and says where.
func (g *gateway) answering(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, g.options.Start)
	defer cancel()
	for {
		err := g.admin.Ready(ctx)
		if err == nil {
			break
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("envoy is not ready after %s: %w", g.options.Start, err)
		}
	}
	return g.announce(ctx)
}

// announce says where Envoy accepts clients.
func (g *gateway) announce(ctx context.Context) error {
	address, err := g.admin.Address(ctx)
	if err != nil {
		return err
	}
	g.log.Info("ready", "address", "http://"+address)
	return nil
}

// because adds what Envoy complained about last, unless that has been said.
func (g *gateway) because(err error) error {
	if complaint := g.envoyLog.take(); complaint != "" {
		return fmt.Errorf("%w: %s", err, complaint)
	}
	return err
}

// drain lets the requests in flight end, bounded by gateway.drain.
func (g *gateway) drain(ctx context.Context) {
	bound := time.Duration(*g.now.Load().document.Gateway.Drain)
	if bound == 0 {
		return
	}
	g.log.Info("stopping: no new connections, requests in flight may end", "bound", bound)
	ctx, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	active, err := g.admin.Drain(ctx)
	switch {
	case ctx.Err() == nil && err != nil:
		g.log.Warn("requests in flight are cut", "cause", err)
	case ctx.Err() != nil && active > 0:
		g.log.Warn("requests in flight are cut", "requests", active)
	}
}

// startSidecar starts `tollgate serve` on a copy of the document in force. Its
// standard input ends when this process does, and so does the sidecar; the first
// line of its standard output is the address it listens on.
func (g *gateway) startSidecar() (supervise.Process, error) {
	cmd := exec.Command(g.options.Executable, "serve", filepath.Join(g.folder.path, document),
		"--child", "--log-level", strings.ToLower(g.options.Level.String()))
	address := make(chan string, 1)
	cmd.Stdout = &firstLine{to: address}
	cmd.Stderr = &lines{name: "sidecar", to: g.options.Output}
	if _, err := cmd.StdinPipe(); err != nil { // closed by Wait
		return nil, err
	}
	g.address = address
	return g.spawner.Start(cmd)
}

// sidecarReady waits until the sidecar listens.
func (g *gateway) sidecarReady(ctx context.Context) error {
	select {
	case <-g.address:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(g.options.Start):
		return fmt.Errorf("the sidecar is not ready after %s", g.options.Start)
	}
}

// firstLine sends the first line written to it and drops the rest.
type firstLine struct {
	line []byte
	to   chan<- string
}

func (f *firstLine) Write(p []byte) (int, error) {
	if f.to != nil {
		f.line = append(f.line, p...)
		if line, _, ended := bytes.Cut(f.line, []byte("\n")); ended {
			f.to <- string(line)
			f.to = nil
		}
	}
	return len(p), nil
}

// envoyLevel is one quieter than ours, since Envoy says at "info" what concerns
// its developers, but never so quiet that the reason of a refusal is not said.
func envoyLevel(level slog.Level) string {
	if level < slog.LevelInfo {
		return "info"
	}
	return "warning"
}

// envoyLines passes Envoy's log on.
func envoyLines(to io.Writer, level slog.Level) *lines {
	shown := true // what follows a line belongs to it
	return &lines{name: "envoy", to: to, show: func(line string) bool {
		switch severity(line) {
		case "":
		case "error", "critical":
			shown = true
		default:
			shown = level <= slog.LevelWarn
		}
		return shown
	}}
}
