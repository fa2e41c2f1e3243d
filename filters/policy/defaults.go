//go:build !wasip1

package policy

import (
	"strings"
	"time"
)

// The defaults of each type, as its comments in document.go state them.

func (d *Document) complete() {
	if d.APIs == nil {
		d.APIs = []API{
			{Name: "openai", Shape: OpenAI, Prefix: "/v1"},
			{Name: "azure", Shape: Azure, Prefix: "/openai"},
		}
	}
}

func (g *Gateway) defaults() {
	drain := Duration(30 * time.Second)
	*g = Gateway{Listen: "127.0.0.1:8080", MaxBody: 8 << 20, Drain: &drain}
}

func (s *Sidecar) defaults() { *s = Sidecar{Listen: "127.0.0.1:8081"} }

func (a *API) complete() {
	switch {
	case a.Prefix != "":
	case a.Shape == OpenAI:
		a.Prefix = "/v1"
	case a.Shape == Azure:
		a.Prefix = "/openai"
	}
}

func (i *Identity) defaults() { *i = Identity{Anonymous: Refuse} }

func (b *Backend) defaults() { *b = Backend{Shape: OpenAI} }

func (b *Backend) complete() {
	b.URL = strings.TrimSuffix(b.URL, "/")
	if b.Credential != nil {
		b.Credential.complete(b.Shape)
	}
}

func (c *Credential) complete(shape Shape) {
	c.Header = strings.ToLower(c.Header)
	switch {
	case c.Header != "":
	case shape == OpenAI:
		c.Header = "authorization"
	default:
		c.Header = "api-key"
	}
	if c.Prefix == nil {
		prefix := ""
		if c.Header == "authorization" {
			prefix = "Bearer "
		}
		c.Prefix = &prefix
	}
}

func (p *Pool) defaults() { *p = Pool{Strategy: Priority} }

func (m *Member) defaults() { *m = Member{Priority: 1, Weight: 1} }

func (r *Retry) defaults() { *r = Retry{Attempts: 3, Timeout: Duration(10 * time.Minute)} }

func (l *TokenLimit) defaults() { *l = TokenLimit{Estimate: Fast} }

func (l *TokenLimit) complete() {
	for i, s := range l.Key {
		if strings.HasPrefix(string(s), "header:") {
			l.Key[i] = Selector(strings.ToLower(string(s)))
		}
	}
}

func (r *Rate) defaults() { *r = Rate{Min: 1} }

func (r *Rate) complete() { r.Header = strings.ToLower(r.Header) }

func (r *Rate) short() *int64 { return &r.Default }

func (h *LimitHeaders) defaults() {
	*h = LimitHeaders{Consumed: "consumed-tokens", Remaining: "remaining-tokens"}
}

func (h *LimitHeaders) complete() {
	h.Consumed, h.Remaining = strings.ToLower(h.Consumed), strings.ToLower(h.Remaining)
}
