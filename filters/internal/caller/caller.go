// Package caller says who sends a request and under which counter keys it falls.
package caller

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
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
	subscriptions []policy.Subscription
	keys          map[[sha256.Size]byte]int32 // to an index of subscriptions
	products      map[string][]string         // to the models allowed, nil for all
	anonymous     int                         // an index of subscriptions, -1 refuses
}

// New prepares the directory of a validated document.
func New(doc *policy.Document) (*Directory, error) {
	d := &Directory{
		subscriptions: doc.Subscriptions,
		keys:          make(map[[sha256.Size]byte]int32, len(doc.Subscriptions)),
		products:      make(map[string][]string, len(doc.Products)),
		anonymous:     -1,
	}
	for _, p := range doc.Products {
		d.products[p.Name] = p.Models
	}
	var digest [sha256.Size]byte
	for i, s := range doc.Subscriptions {
		for _, k := range s.Keys {
			if n, err := hex.Decode(digest[:], []byte(k.SHA256)); err != nil || n != len(digest) {
				return nil, fmt.Errorf("subscription %q: a key that is no sha256", s.Name)
			}
			d.keys[digest] = int32(i)
		}
		if s.Name == doc.Identity.Anonymous {
			d.anonymous = i
		}
	}
	return d, nil
}

// Find identifies the caller by its key, "" where it sent none. The time it
// takes does not tell a wrong key from a nearly right one: only hashes are
// compared.
func (d *Directory) Find(key string) (Caller, Outcome) {
	i := d.anonymous
	if key != "" {
		known, ok := d.keys[sha256.Sum256([]byte(key))]
		if !ok {
			return Caller{}, Unknown
		}
		i = int(known)
	}
	if i < 0 {
		return Caller{}, Missing
	}
	s := &d.subscriptions[i]
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
