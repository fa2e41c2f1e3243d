package policy

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
)

// Compile is the JSON that the gateway filter reads, for Load. It leaves out
// what is Envoy's or the sidecar's business: the listener's address, workers and
// drain, the sidecar, and the backends' credentials and TLS, so that no secret
// and no file's name enters the module. Subscriptions come last, once for each of
// their keys and in the order of these, which is what a Register wants. d is a
// document that Parse or Load returned.
func (d *Document) Compile() ([]byte, error) {
	c := *d
	c.Gateway = Gateway{MaxBody: d.Gateway.MaxBody}
	c.Sidecar = Sidecar{}
	c.Backends = slices.Clone(d.Backends)
	for i := range c.Backends {
		c.Backends[i].Credential, c.Backends[i].TLS = nil, nil
	}
	// The outer field hides the inner one and comes behind all others.
	out, err := json.Marshal(struct {
		*Document
		Subscriptions []Subscription `json:"subscriptions,omitempty"`
	}{&c, byKey(d.Subscriptions)})
	if err != nil {
		return nil, fmt.Errorf("compiling the document: %w", err)
	}
	return out, nil
}

// byKey is a subscription for each key, sorted by it; those without one first.
func byKey(subscriptions []Subscription) []Subscription {
	out := make([]Subscription, 0, len(subscriptions))
	for _, s := range subscriptions {
		keys := s.Keys
		if s.Keys = nil; len(keys) == 0 {
			out = append(out, s)
		}
		for i := range keys {
			s.Keys = keys[i : i+1 : i+1]
			out = append(out, s)
		}
	}
	slices.SortStableFunc(out, func(a, b Subscription) int { return cmp.Compare(a.hash(), b.hash()) })
	return out
}

// hash is that of the only key of a subscription in a Register, "" without one.
func (s *Subscription) hash() string {
	if len(s.Keys) == 0 {
		return ""
	}
	return s.Keys[0].SHA256
}
