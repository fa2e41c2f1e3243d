// Package gateway is the filter of a client's request, in the listener's chain:
// who calls, may they, does it fit in their limits, which backends in which
// order; then it reads the answer and settles what was reserved.
//
// A request is answered by a reply of ours, or released with everything its
// tries need as filter state; the router and the attempt filter do the rest.
package gateway

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"unsafe"

	"github.com/tidwall/gjson"

	"github.com/tollgate/tollgate/filters/internal/chat"
	"github.com/tollgate/tollgate/filters/internal/host"
	"github.com/tollgate/tollgate/filters/internal/limit"
	"github.com/tollgate/tollgate/filters/policy"
)

// New reads {"role":"gateway","policy":{…}}.
func New(configuration json.RawMessage) (host.Plugin, error) {
	// The bytes are ours alone, and the register keeps them.
	text := unsafe.String(unsafe.SliceData(configuration), len(configuration))
	doc, register, err := loader.Load(policyOf(text))
	if err != nil {
		return nil, fmt.Errorf("policy: %w", err)
	}
	e, err := newEngine(doc, register, rand.Uint64())
	if err != nil {
		return nil, err
	}
	p := &plugin{engine: e}
	if latest != nil {
		p.limits = latest.limits // one table for all configurations
	} else if p.limits, err = newTable(); err != nil {
		return nil, err
	}
	latest = p
	return p, nil
}

func newTable() (*limit.Table, error) {
	store := host.Shared{}
	return limit.New(store, limit.Seed(store, rand.Uint64()), limit.Groups)
}

// policyOf returns the member "policy". It stands last, and what stands last in a
// megabyte need not be searched for its end.
func policyOf(configuration string) string {
	policy, rendered := strings.CutPrefix(configuration, `{"role":"gateway","policy":`)
	if policy, closed := strings.CutSuffix(policy, "}"); rendered && closed {
		return policy
	}
	return gjson.Get(configuration, "policy").Raw
}

// loader has read all configurations of this VM.
var loader policy.Loader

// latest is the configuration that this VM took last. A vm_id belongs to one
// document: its limits share one table too.
var latest *plugin

type plugin struct {
	engine  *engine
	limits  *limit.Table
	scratch [256]byte    // for counter keys
	bodies  []*chat.Body // that have been read, for the next requests
}

// Stream begins under this configuration. A request is decided under the latest
// one, whenever its body is complete: a slow upload must not choose a backend
// that has been removed since. It ends under the one that decided.
func (p *plugin) Stream() host.Stream { return &stream{plugin: p} }

// keep keeps a reader that has read its body for another. Those beyond what a
// worker has in hand at once are left to the collector.
func (p *plugin) keep(b *chat.Body) {
	if len(p.bodies) < 64 {
		b.Reset(chat.Unknown, nil) // nothing of the request stays
		p.bodies = append(p.bodies, b)
	}
}

// body returns a reader for a request's body, used before if there is one.
func (p *plugin) body(op chat.Operation, prompt chat.Prompt) *chat.Body {
	if last := len(p.bodies) - 1; last >= 0 {
		b := p.bodies[last]
		p.bodies = p.bodies[:last]
		b.Reset(op, prompt)
		return b
	}
	return chat.NewBody(op, prompt)
}
