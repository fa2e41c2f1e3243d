package policy

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Load reads what Compile wrote. It checks the form, not the meaning: a compiled
// document comes from a validated one. A key it does not know is an error, since
// it would be a policy that the module does not enforce.
//
// A worker loads the document while its requests wait. With 10,000 subscriptions
// nearly all of its 1.3 MB are theirs, so these are cut out of the text in one
// pass, as parts of one string. What is not written exactly as Compile writes it
// goes through encoding/json, with the same result at ten times the price.
func Load(compiled []byte) (*Document, error) {
	src := string(compiled)
	subscriptions, rest, ok := cutSubscriptions(src)
	if !ok {
		rest = src
	}
	d := new(Document)
	in := json.NewDecoder(strings.NewReader(rest))
	in.DisallowUnknownFields()
	if err := in.Decode(d); err != nil {
		return nil, fmt.Errorf("compiled document: %w", err)
	}
	if _, err := in.Token(); err != io.EOF {
		return nil, errors.New("compiled document: more than one value")
	}
	if ok {
		d.Subscriptions = subscriptions
	}
	return d, nil
}

// cutSubscriptions takes the subscriptions from the head of a compiled document
// and returns the document without them.
func cutSubscriptions(src string) (all []Subscription, rest string, ok bool) {
	s := scanner{rest: src}
	if !s.take(`{"subscriptions":[`) {
		return nil, "", false
	}
	count := strings.Count(src, `{"sha256":"`) // most subscriptions have one key
	all, s.keys = make([]Subscription, 0, count), make([]Key, 0, count)
	for {
		var one Subscription
		if !s.subscription(&one) {
			return nil, "", false
		}
		all = append(all, one)
		if s.take(`],`) {
			escaped := strings.Contains(src[:len(src)-len(s.rest)], `\`)
			return all, "{" + s.rest, !escaped
		}
		if !s.take(`,`) {
			return nil, "", false
		}
	}
}

// scanner reads the canonical JSON of subscriptions: the keys in the order of
// the struct, no white space, no escapes.
type scanner struct {
	rest string
	keys []Key // of all subscriptions, so that they cost one allocation
}

func (s *scanner) subscription(one *Subscription) bool {
	if !s.take(`{"name":"`) || !s.text(&one.Name) {
		return false
	}
	if s.take(`,"product":"`) && !s.text(&one.Product) {
		return false
	}
	if s.take(`,"keys":[`) {
		first := len(s.keys)
		for more := true; more; more = s.take(`,`) {
			var key Key
			if !s.take(`{"sha256":"`) || !s.text(&key.SHA256) || !s.take(`}`) {
				return false
			}
			s.keys = append(s.keys, key)
		}
		one.Keys = s.keys[first:len(s.keys):len(s.keys)]
		if !s.take(`]`) {
			return false
		}
	}
	one.Disabled = s.take(`,"disabled":true`)
	return s.take(`}`)
}

func (s *scanner) take(literal string) bool {
	rest, ok := strings.CutPrefix(s.rest, literal)
	s.rest = rest
	return ok
}

// text reads up to the closing quote.
func (s *scanner) text(into *string) bool {
	end := strings.IndexByte(s.rest, '"')
	if end < 0 {
		return false
	}
	*into, s.rest = s.rest[:end], s.rest[end+1:]
	return true
}
