// Package caller says who sends a request and under which counter keys it falls.
package caller

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/tollgate/tollgate/filters/policy"
)

// Caller is an identified client.
type Caller struct {
	// Subscription and Product are names, "" where there is none.
	Subscription, Product string

	models []string // nil allows every model
}

// May reports whether the caller is entitled to a model, by the model's own name.
func (c Caller) May(model string) bool {
	return c.models == nil || slices.Contains(c.models, model)
}

// Outcome is the result of an identification.
type Outcome uint8

// The outcomes of an identification.
const (
	Known    Outcome = iota
	Missing          // no key, and anonymous callers are refused
	Unknown          // a key that belongs to nobody
	Disabled         // a key of a disabled subscription
)

// Directory finds callers by the hash of their key. It reads the document and
// never changes.
type Directory struct {
	register  policy.Register
	products  map[string][]string  // to the models allowed, nil for all
	anonymous *policy.Subscription // nil refuses
}

// New prepares the directory of a loaded document.
func New(doc *policy.Document, register policy.Register) *Directory {
	d := &Directory{register: register, products: make(map[string][]string, len(doc.Products))}
	for _, p := range doc.Products {
		d.products[p.Name] = p.Models
	}
	if doc.Identity.Anonymous != policy.Refuse {
		for s := range register.All {
			if s.Name == doc.Identity.Anonymous {
				d.anonymous = &s
				break
			}
		}
	}
	return d
}

// Find identifies the caller by its key, "" where it sent none. The time it
// takes does not tell a wrong key from a nearly right one: only hashes are
// compared.
func (d *Directory) Find(key string) (Caller, Outcome) {
	var s policy.Subscription
	switch {
	case key != "":
		digest := sha256.Sum256([]byte(key))
		var known bool
		if s, known = d.register.Find(hex.EncodeToString(digest[:])); !known {
			return Caller{}, Unknown
		}
	case d.anonymous == nil:
		return Caller{}, Missing
	default:
		s = *d.anonymous
	}
	if s.Disabled {
		return Caller{}, Disabled
	}
	return Caller{Subscription: s.Name, Product: s.Product, models: d.products[s.Product]}, Known
}

// Bearer returns the token of an Authorization header, "" where it is of another
// scheme (RFC 6750, section 2.1; the scheme's case does not matter).
func Bearer(authorization string) string {
	const scheme = "bearer "
	if len(authorization) < len(scheme) || !strings.EqualFold(authorization[:len(scheme)], scheme) {
		return ""
	}
	return strings.TrimSpace(authorization[len(scheme):])
}
