package policy

import "strings"

// Register is the subscriptions of a compiled document, as the text of the JSON
// they stand in: one for each key, sorted by its hash. A key is looked up by
// bisecting the text, so that nothing is built when a configuration comes into
// force: a worker takes it over while its requests wait, and with 10,000
// subscriptions a table of them would cost each worker tens of milliseconds.
type Register string

// entry is how each subscription in a Register begins. No name holds a quote.
const entry = `{"name":"`

// Find returns the subscription of a key by the key's hash, 64 lower-case
// hexadecimal digits.
func (r Register) Find(sha256 string) (s Subscription, ok bool) {
	for text := string(r); text != ""; {
		// The entry around the middle. text begins with one.
		at := strings.LastIndex(text[:min(len(text), len(text)/2+len(entry))], entry)
		if at < 0 {
			return Subscription{}, false
		}
		in := scanner{rest: text[at:]}
		s, hash, ok := in.subscription()
		switch {
		case !ok:
			return Subscription{}, false
		case hash == sha256 && hash != "":
			s.Keys = []Key{{hash}}
			return s, true
		case hash < sha256:
			text = strings.TrimPrefix(in.rest, ",")
		default:
			text = text[:at]
		}
	}
	return Subscription{}, false
}

// All calls yield for each key's subscription, in the order of the hashes.
func (r Register) All(yield func(Subscription) bool) {
	for in := (scanner{rest: string(r)}); in.rest != ""; in.take(",") {
		s, hash, ok := in.subscription()
		if hash != "" {
			s.Keys = []Key{{hash}}
		}
		if !ok || !yield(s) {
			return
		}
	}
}

// whole reports whether the text ends with its last entry, and that is complete:
// it was not cut short, and no other section of the document follows.
func (r Register) whole() bool {
	text := string(r)
	in := scanner{rest: text[max(strings.LastIndex(text, entry), 0):]}
	if _, _, ok := in.subscription(); !ok || in.rest != "" {
		return false
	}
	for rest, found := text, true; found; {
		if _, rest, found = strings.Cut(rest, `],"`); found && !strings.HasPrefix(rest, `disabled":true`) {
			return false
		}
	}
	return true
}

// scanner reads the canonical JSON of subscriptions: the keys in the order of
// the struct, no white space, no escapes.
type scanner struct{ rest string }

// subscription reads the next one, and the hash of its key, "" without one.
func (s *scanner) subscription() (one Subscription, hash string, ok bool) {
	if !s.take(entry) || !s.text(&one.Name) {
		return one, "", false
	}
	if s.take(`,"product":"`) && !s.text(&one.Product) {
		return one, "", false
	}
	if s.take(`,"keys":[{"sha256":"`) && (!s.text(&hash) || !s.take(`}]`)) {
		return one, "", false
	}
	one.Disabled = s.take(`,"disabled":true`)
	return one, hash, s.take(`}`)
}

func (s *scanner) take(literal string) bool {
	rest, ok := strings.CutPrefix(s.rest, literal)
	s.rest = rest
	return ok
}

// text reads up to the closing quote. What is escaped is not canonical.
func (s *scanner) text(into *string) bool {
	end := strings.IndexByte(s.rest, '"')
	if end < 0 || strings.IndexByte(s.rest[:end], '\\') >= 0 {
		return false
	}
	*into, s.rest = s.rest[:end], s.rest[end+1:]
	return true
}
