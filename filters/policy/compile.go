package policy

import (
	"encoding/json"
	"fmt"
	"slices"
)

// Compile is the JSON that the gateway filter reads, for Load. It leaves out
// what is Envoy's or the sidecar's business: the listener's address, workers and
// drain, the sidecar, and the backends' credentials and TLS, so that no secret
// and no file's name enters the module. d is a document that Parse returned.
func (d *Document) Compile() ([]byte, error) {
	c := *d
	c.Gateway = Gateway{MaxBody: d.Gateway.MaxBody}
	c.Sidecar = Sidecar{}
	c.Backends = slices.Clone(d.Backends)
	for i := range c.Backends {
		c.Backends[i].Credential, c.Backends[i].TLS = nil, nil
	}
	// The outer field hides the inner one and comes first, where Load wants it.
	out, err := json.Marshal(struct {
		Subscriptions []Subscription `json:"subscriptions,omitempty"`
		*Document
	}{d.Subscriptions, &c})
	if err != nil {
		return nil, fmt.Errorf("compiling the document: %w", err)
	}
	return out, nil
}
