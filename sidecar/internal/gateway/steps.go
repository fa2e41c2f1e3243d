package gateway

import (
	"context"
	"strings"

	"github.com/tollgate/tollgate/envoy"
	"github.com/tollgate/tollgate/sidecar/internal/rollout"
)

// carryOut takes Envoy along a plan while requests are served. done are the steps
// that have been begun, the one that failed included.
func (g *gateway) carryOut(ctx context.Context, plan []envoy.Step) (done []envoy.Step, err error) {
	steps := make([]rollout.Step, len(plan))
	for i, s := range plan {
		steps[i] = g.step(s)
	}
	n, err := g.roller.Run(ctx, g.options.Step, steps)
	return plan[:n], err
}

// loaded are the steps of an Envoy that was started on an edition: of each file,
// only what it is at the end.
func (g *gateway) loaded(e *edition) []rollout.Step {
	plan := envoy.Plan(new(envoy.Resources), e.resources)
	var steps []rollout.Step
	for i, s := range plan {
		last := true
		for _, later := range plan[i+1:] {
			last = last && later.File.Name != s.File.Name
		}
		if last {
			steps = append(steps, g.step(s))
		}
	}
	return steps
}

func (g *gateway) step(s envoy.Step) rollout.Step {
	want := make(map[string]string, len(s.Await))
	for _, stat := range s.Await {
		want[stat.Name] = stat.Value
	}
	return rollout.Step{
		Name:     plain(s.File.Name),
		Write:    func() error { return s.File.Write(g.folder.path) },
		Want:     want,
		Refusals: s.Rejected,
		Pause:    s.Pause,
	}
}

// plain says what a file holds in an operator's words.
func plain(file string) string {
	folder, rest, _ := strings.Cut(file, "/")
	switch folder {
	case "lds":
		return "listener"
	case "cds":
		return "clusters"
	case "rds":
		return "routes"
	case "ecds":
		return "filter configuration"
	case "sds":
		backend, _, _ := strings.Cut(rest, "/")
		return "credential of backend " + backend
	}
	return file
}
