//go:build !wasip1

package policy

import (
	"net/netip"
	"strings"
	"time"
)

// validate checks every section. The names come first, since sections refer to
// each other in both directions.
func (d *Document) validate(c *check) {
	c.names("api", "apis", len(d.APIs), func(i int) string { return d.APIs[i].Name })
	c.products = c.names("product", "products", len(d.Products), func(i int) string { return d.Products[i].Name })
	c.subscriptions = c.names("subscription", "subscriptions", len(d.Subscriptions), func(i int) string { return d.Subscriptions[i].Name })
	c.backends = c.names("backend", "backends", len(d.Backends), func(i int) string { return d.Backends[i].Name })
	c.pools = c.names("pool", "pools", len(d.Pools), func(i int) string { return d.Pools[i].Name })
	c.models = modelNames(c, d.Models)

	d.Gateway.validate(c, "gateway")
	d.Sidecar.validate(c, "sidecar", d.Gateway.Listen)
	validateAPIs(c, d.APIs)
	for i := range d.Products {
		d.Products[i].validate(c, index("products", i))
	}
	validateSubscriptions(c, d.Subscriptions, d.Identity.Anonymous)
	d.Identity.validate(c, "identity")
	c.least("backends", len(d.Backends))
	for i := range d.Backends {
		d.Backends[i].validate(c, index("backends", i))
	}
	c.least("pools", len(d.Pools))
	for i := range d.Pools {
		d.Pools[i].validate(c, index("pools", i))
	}
	c.least("models", len(d.Models))
	for i := range d.Models {
		c.refers(index("models", i)+".pool", d.Models[i].Pool, c.pools)
	}
	d.Limits.validate(c, "limits")
}

func (g *Gateway) validate(c *check, path string) {
	c.address(path+".listen", g.Listen)
	between(c, path+".maxBody", g.MaxBody, 1<<10, 256<<20)
	between(c, path+".workers", g.Workers, 0, 256)
	between(c, path+".drain", *g.Drain, 0, Duration(time.Hour))
}

func (s *Sidecar) validate(c *check, path, taken string) {
	if c.address(path+".listen", s.Listen) && s.Listen == taken && !strings.HasSuffix(taken, ":0") {
		c.fail(path+".listen", "%s is gateway.listen already", s.Listen)
	}
}

// address takes no host name: Envoy does not resolve the one it listens on.
func (c *check) address(path, value string) bool {
	_, err := netip.ParseAddrPort(value)
	if err != nil {
		c.fail(path, "want an IP address and a port such as 127.0.0.1:8080, got %s", quote(value))
	}
	return err == nil
}

func validateAPIs(c *check, apis []API) {
	c.least("apis", len(apis))
	first := map[string]string{}
	for i, a := range apis {
		path := index("apis", i)
		if !oneOf(c, path+".shape", a.Shape, OpenAI, Azure) && a.Prefix == "" {
			continue
		}
		if !cleanPath(a.Prefix) {
			c.fail(path+".prefix", "want a path such as /v1 without a slash at its end, got %s", quote(a.Prefix))
		} else if taken, ok := first[a.Prefix]; ok {
			c.fail(path+".prefix", "%s is the prefix of %s already", a.Prefix, taken)
		} else {
			first[a.Prefix] = path
		}
	}
}

// cleanPath says whether p is a path that no proxy rewrites: segments of
// unreserved characters (RFC 3986, 2.3), none empty, none "." or "..".
func cleanPath(p string) bool {
	rest, ok := strings.CutPrefix(p, "/")
	if !ok {
		return false
	}
	for segment := range strings.SplitSeq(rest, "/") {
		if !only(segment, letters+digits+"-_.~") || segment == "." || segment == ".." {
			return false
		}
	}
	return true
}

func (p *Product) validate(c *check, path string) {
	if p.Models != nil && len(p.Models) == 0 {
		c.fail(path+".models", "want at least one; leave the key out for all models")
	}
	first := map[string]bool{}
	for i, name := range p.Models {
		at := index(path+".models", i)
		c.refers(at, name, c.models)
		if of := c.models.paths[name]; strings.Contains(of, ".aliases[") {
			c.fail(at, "%s is an alias; name the model", quote(name))
		}
		if first[name] && name != "" {
			c.fail(at, "%s is in the list already", quote(name))
		}
		first[name] = true
	}
}

func validateSubscriptions(c *check, subscriptions []Subscription, anonymous string) {
	keys := make(map[string]string, len(subscriptions))
	for i := range subscriptions {
		s, path := &subscriptions[i], index("subscriptions", i)
		if s.Name == Refuse {
			c.fail(path+".name", "%q is taken: identity.anonymous gives it a meaning", Refuse)
		}
		if s.Product != "" {
			c.refers(path+".product", s.Product, c.products)
		}
		if s.Name == "" || s.Name != anonymous {
			c.least(path+".keys", len(s.Keys))
		}
		for k := range s.Keys {
			at := index(path+".keys", k)
			if !s.Keys[k].validate(c, at+".sha256") {
				continue
			}
			if first, ok := keys[s.Keys[k].SHA256]; ok {
				c.fail(at+".sha256", "the same key as %s", first)
				continue
			}
			keys[s.Keys[k].SHA256] = at
		}
	}
}

// hashOfNothing is what a shell makes of a variable that is not set.
const hashOfNothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// validate never repeats the value: it may be the key itself, pasted by mistake.
func (k *Key) validate(c *check, path string) bool {
	switch h := k.SHA256; {
	case !c.required(path, h):
	case len(h) != 64:
		c.fail(path, "want 64 lower-case hexadecimal digits, got %d characters", len(h))
	case !only(h, digits+"abcdef"):
		c.fail(path, "want 64 lower-case hexadecimal digits, got other characters among them")
	case h == hashOfNothing:
		c.fail(path, "the hash of an empty key")
	default:
		return true
	}
	return false
}

func (i *Identity) validate(c *check, path string) {
	if i.Anonymous != Refuse {
		c.refers(path+".anonymous", i.Anonymous, c.subscriptions)
	}
	between(c, path+".trustedHops", i.TrustedHops, 0, 16)
}
