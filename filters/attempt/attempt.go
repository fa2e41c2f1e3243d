// Package attempt is the filter of one try, in the chain of the cluster chosen
// for it: it makes the request fit that backend and notes how the try ended.
//
// Envoy runs it anew for each try with the body as the gateway filter left it,
// but header edits of one try persist into the next, so it only ever writes
// absolute values. It sees no reset, refusal or timeout.
package attempt

import (
	"encoding/json"
	"errors"
	"strconv"

	"github.com/tollgate/tollgate/filters/internal/host"
	"github.com/tollgate/tollgate/filters/internal/pool"
)

// New needs no configuration beyond its role: what a try needs comes with its
// request. So one plugin context serves all clusters of a worker.
func New(json.RawMessage) (host.Plugin, error) { return plugin{}, nil }

type plugin struct{}

func (plugin) Stream() host.Stream { return &stream{} }

type stream struct {
	step    pool.Step
	trail   pool.Trail
	spliced bool
}

var errNoPlan = errors.New("a try without a plan")

func (s *stream) RequestHeaders(bool) host.Action {
	s.trail = pool.Trail(host.Property(pool.TriesState))
	step, ok := pool.Read(host.Property(pool.PlanState), s.trail.Len())
	if !ok {
		panic(errNoPlan) // more tries than planned: answered with a 500
	}
	s.step = step
	s.trail = s.trail.Begin(step.Backend)
	host.SetProperty(pool.TriesState, string(s.trail))
	if step.Next != "" {
		host.SetProperty(pool.BackendState, step.Next)
	}

	host.SetRequestHeader(":path", step.Path)
	host.SetRequestHeader(":authority", step.Authority)
	length := step.Length
	if step.Model != "" {
		length += len(step.Model) - (step.End - step.Start)
	}
	host.SetRequestHeader("content-length", strconv.Itoa(length))
	return host.Continue
}

func (s *stream) RequestBody(size int, end bool) host.Action {
	if s.spliced || s.step.Model == "" {
		return host.Continue
	}
	if size < s.step.End && !end {
		return host.Pause
	}
	head := host.RequestBody(0, s.step.Start)
	host.SpliceRequestBody(s.step.End, append(head[:len(head):len(head)], s.step.Model...))
	s.spliced = true
	return host.Continue
}

func (s *stream) ResponseHeaders(bool) host.Action {
	outcome := pool.Outcome{}
	outcome.Status, _ = strconv.Atoi(host.ResponseHeader(":status"))
	if pool.Retriable(outcome.Status) {
		outcome.Wait = pool.Wait(host.ResponseHeader("retry-after-ms"), host.ResponseHeader("retry-after"))
	}
	host.SetProperty(pool.TriesState, string(s.trail.End(outcome)))
	return host.Continue
}

func (*stream) RequestTrailers() host.Action       { return host.Continue }
func (*stream) ResponseBody(int, bool) host.Action { return host.Continue }
func (*stream) ResponseTrailers() host.Action      { return host.Continue }
func (*stream) Done()                              {}
