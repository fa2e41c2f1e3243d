//go:build !wasip1

package policy

import (
	"net/url"
	"strconv"
	"strings"
	"time"
)

func (b *Backend) validate(c *check, path string) {
	known := oneOf(c, path+".shape", b.Shape, OpenAI, Azure, AzureV1)
	c.url(path+".url", b.URL, b.Shape)
	switch {
	case !known:
	case b.Shape == Azure:
		if b.Deployment != "" && !only(b.Deployment, letters+digits+"-_.") {
			c.fail(path+".deployment", "want letters, digits, \"-\", \"_\" and \".\" with shape azure, got %s", quote(b.Deployment))
		}
		if b.APIVersion == "" {
			c.fail(path+".apiVersion", "required with shape azure")
		} else if !only(b.APIVersion, letters+digits+"-_.") {
			c.fail(path+".apiVersion", "want a version such as 2024-10-21, got %s", quote(b.APIVersion))
		}
	default:
		if b.Deployment != "" {
			c.model(path+".deployment", b.Deployment)
		}
		if b.APIVersion != "" {
			c.fail(path+".apiVersion", "only with shape azure")
		}
	}
	if b.Credential != nil {
		b.Credential.validate(c, path+".credential")
	}
	if b.TLS != nil && strings.HasPrefix(b.URL, "http://") {
		c.fail(path+".tls", "only with an https url")
	}
}

// url repeats no more of the value than scheme and host: the rest may hold a
// password or a key.
func (c *check) url(path, value string, shape Shape) {
	if !c.required(path, value) {
		return
	}
	u, err := url.Parse(value)
	scheme, _, ok := strings.Cut(value, "://")
	if err != nil || !ok || !only(scheme, letters) {
		c.fail(path, "want http:// or https:// and a host")
		return
	}
	if scheme != "http" && scheme != "https" || u.Hostname() == "" {
		c.fail(path, "want http:// or https:// and a host, got %s", quote(scheme+"://"+u.Host))
		return
	}
	if port, err := strconv.Atoi(u.Port()); u.Port() != "" && (err != nil || port < 1 || port > 65535) || strings.HasSuffix(u.Host, ":") {
		c.fail(path, "want a port from 1 to 65535 after the colon")
	}
	if !only(u.Hostname(), letters+digits+"-_.:") {
		c.fail(path, "want a host name of letters, digits, \"-\", \"_\" and \".\", or an IP address")
	}
	switch {
	case u.User != nil:
		c.fail(path, "want no user information; a secret belongs in credential")
	case strings.ContainsAny(value, "?#"):
		c.fail(path, "want no query and no fragment")
	case u.Path == "":
	case shape == Azure:
		c.fail(path, "want no path with shape azure")
	case !cleanPath(u.EscapedPath()):
		c.fail(path, "want a path of plain segments such as /v1")
	}
}

func (k *Credential) validate(c *check, path string) {
	c.header(path+".header", k.Header)
	if strings.ContainsFunc(*k.Prefix, func(r rune) bool { return r < ' ' || r > '~' }) {
		c.fail(path+".prefix", "want printable ASCII")
	}
	if (k.File == "") == (k.Env == "") {
		c.fail(path, "want exactly one of file and env")
	}
	// Not repeated: the secret itself may stand here by mistake.
	if k.Env != "" && (!only(k.Env, letters+digits+"_") || !only(k.Env[:1], letters+"_")) {
		c.fail(path+".env", "want the name of an environment variable: letters, digits and \"_\"")
	}
}

func (p *Pool) validate(c *check, path string) {
	oneOf(c, path+".strategy", p.Strategy, Priority, RoundRobin, Weighted)
	c.least(path+".members", len(p.Members))
	first := map[string]bool{}
	for i, m := range p.Members {
		at := index(path+".members", i)
		m.validate(c, at, p.Strategy)
		if first[m.Backend] && m.Backend != "" {
			c.fail(at+".backend", "%s is a member already", quote(m.Backend))
		}
		first[m.Backend] = true
	}
	between(c, path+".retry.attempts", p.Retry.Attempts, 1, 10)
	between(c, path+".retry.timeout", p.Retry.Timeout, Duration(100*time.Millisecond), Duration(time.Hour))
}

func (m *Member) validate(c *check, path string, s Strategy) {
	c.refers(path+".backend", m.Backend, c.backends)
	if between(c, path+".priority", m.Priority, 1, 100) && m.Priority != 1 && (s == RoundRobin || s == Weighted) {
		c.fail(path+".priority", "only with strategy priority")
	}
	if between(c, path+".weight", m.Weight, 1, 1000) && m.Weight != 1 && s == RoundRobin {
		c.fail(path+".weight", "not with strategy round-robin")
	}
}

// modelNames are names and aliases, which clients use alike.
func modelNames(c *check, models []Model) names {
	all := names{what: "model", paths: map[string]string{}, partial: c.failed["models"]}
	for i, m := range models {
		path := index("models", i)
		c.model(path+".name", m.Name)
		c.add(&all, path+".name", m.Name)
		for k, alias := range m.Aliases {
			at := index(path+".aliases", k)
			c.model(at, alias)
			c.add(&all, at, alias)
		}
	}
	return all
}

// model is the rule for the name of a model or a deployment. Whoever made the
// model chose it: meta-llama/Llama-3.1-70B, ft:gpt-4o:contoso::a1.
func (c *check) model(path, name string) {
	if c.required(path, name) && (len(name) > 256 || strings.ContainsFunc(name, blank)) {
		c.fail(path, "want at most 256 bytes without white space, got %s", quote(name))
	}
}
