//go:build !wasip1

package policy

import (
	"slices"
	"strings"
	"unicode"
)

func (l *Limits) validate(c *check, path string) {
	c.names("limit", path+".tokens", len(l.Tokens), func(i int) string { return l.Tokens[i].Name })
	for i := range l.Tokens {
		l.Tokens[i].validate(c, index(path+".tokens", i))
	}
}

func (l *TokenLimit) validate(c *check, path string) {
	c.least(path+".key", len(l.Key))
	for i, s := range l.Key {
		at := index(path+".key", i)
		s.validate(c, at)
		if slices.Contains(l.Key[:i], s) {
			c.fail(at, "%s is in the list already", quote(string(s)))
		}
	}
	l.TokensPerMinute.validate(c, path+".tokensPerMinute")
	oneOf(c, path+".estimate", l.Estimate, Fast, Off)
	l.Headers.validate(c, path+".headers")
}

func (s Selector) validate(c *check, path string) {
	kind, name, named := strings.Cut(string(s), ":")
	switch kind {
	case "subscription", "product", "source.ip", "model", "deployment", "api":
		if !named {
			return
		}
	case "header":
		if internal(name) {
			c.fail(path, "%s never arrives: what a client sends of it is removed", name)
			return
		}
		if only(name, tokenCharacters) {
			return
		}
	case "query":
		if name != "" && !strings.ContainsFunc(name, blank) && !strings.ContainsAny(name, "&=#+%") {
			return
		}
	}
	c.fail(path, "want subscription, product, source.ip, header:<name>, query:<name>, model, deployment or api, got %s", quote(string(s)))
}

// most tokens per minute; a bucket of them is still exact in nanoseconds.
const most = 1_000_000_000

func (r *Rate) validate(c *check, path string) {
	node, at := c.node(path), path
	if _, long := entries(node); long {
		at = path + ".default"
		node = c.node(at)
	}
	if node == nil {
		c.fail(at, "required")
		return
	}
	if !between(c, at, r.Default, 1, most) {
		return
	}
	if r.Header == "" {
		if r.Min != 1 {
			c.fail(path+".min", "only with header")
		}
		if r.Max != 0 {
			c.fail(path+".max", "only with header")
		}
		return
	}
	c.header(path+".header", r.Header)
	if between(c, path+".min", r.Min, 1, most) && r.Min > r.Default {
		c.fail(path+".min", "want at most the default of %d, got %d", r.Default, r.Min)
	}
	if c.node(path+".max") == nil {
		c.fail(path+".max", "required with header")
		return
	}
	if between(c, path+".max", r.Max, 1, most) && r.Max < r.Default {
		c.fail(path+".max", "want at least the default of %d, got %d", r.Default, r.Max)
	}
}

func (h *LimitHeaders) validate(c *check, path string) {
	for _, name := range []struct{ option, header string }{{".consumed", h.Consumed}, {".remaining", h.Remaining}} {
		c.header(path+name.option, name.header)
		if slices.Contains(told, name.header) {
			c.fail(path+name.option, "%s is sent as OpenAI's clients read it", name.header)
		}
	}
	if h.Consumed == h.Remaining {
		c.fail(path+".remaining", "the same as consumed")
	}
}

// told are the headers that every limited answer has.
var told = []string{"x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"}

// tokenCharacters are those of a header's name (RFC 9110, 5.6.2).
const tokenCharacters = letters + digits + "!#$%&'*+-.^_`|~"

// framed headers describe the message itself. HTTP or the gateway sets them.
var framed = []string{
	"connection", "content-encoding", "content-length", "content-type", "date", "host", "keep-alive",
	"retry-after", "retry-after-ms", "te", "trailer", "transfer-encoding", "upgrade",
}

// header does not repeat a name that is none: it may hold a secret.
func (c *check) header(path, name string) {
	if !only(name, tokenCharacters) {
		c.fail(path, "want the name of a header: letters, digits and \"-\"")
	} else if slices.Contains(framed, name) || internal(name) {
		c.fail(path, "%s is not to be set by a document", name)
	}
}

// internal headers steer Envoy and the filters. A client's are removed.
func internal(name string) bool {
	return strings.HasPrefix(name, "x-envoy-") || strings.HasPrefix(name, "x-tollgate-")
}

func blank(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }
