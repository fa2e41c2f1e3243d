package policy

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Load reads what Compile wrote: the document without its subscriptions, and
// these. It checks the form, not the meaning: a compiled document comes from a
// validated one. A key it does not know is an error, since it would be a policy
// that the module does not enforce.
//
// What is not written as Compile writes it is decoded as a whole and compiled
// again, with the same result at a hundred times the price.
func Load(compiled string) (*Document, Register, error) {
	return new(Loader).Load(compiled)
}

// Loader loads one document after another as Load does, while requests wait. What
// changes most often, limits and subscriptions, stands at the end: if all before
// them is as it was, it is not read again. Documents that one Loader has returned
// share what they have in common, and are read only.
type Loader struct {
	head string // of the last document, before its limits
	last Document
}

// Load is the function of that name.
func (l *Loader) Load(compiled string) (*Document, Register, error) {
	if rest, register, ok := cut(compiled); ok {
		d, err := l.decode(rest)
		return d, register, err
	}
	d, err := decode(compiled)
	if err != nil {
		return nil, "", err
	}
	again, err := d.Compile()
	if err != nil {
		return nil, "", err
	}
	_, register, ok := cut(string(again))
	if !ok && len(d.Subscriptions) > 0 {
		return nil, "", errors.New("compiled document: subscriptions: a name that Parse would refuse")
	}
	d.Subscriptions = nil
	return d, register, nil
}

// cut takes the subscriptions from the end of a compiled document and returns the
// document without them. The text between cannot stand in a string of JSON, where
// its quotes would be escaped.
func cut(compiled string) (rest string, register Register, ok bool) {
	before, after, found := strings.Cut(compiled, `"subscriptions":[`)
	after, closed := strings.CutSuffix(after, `]}`)
	register = Register(after)
	return strings.TrimSuffix(before, ",") + "}", register, found && closed && register.whole()
}

// decode decodes a compiled document without its subscriptions.
func (l *Loader) decode(src string) (*Document, error) {
	head, limits, ok := strings.Cut(src, `,"limits":`)
	if !ok {
		return decode(src)
	}
	d := new(Document)
	if head == l.head {
		*d, src = l.last, `{"limits":`+limits
		d.Limits = Limits{}
	}
	if err := d.decode(src); err != nil {
		return nil, err
	}
	l.head, l.last = head, *d
	return d, nil
}

func decode(src string) (*Document, error) {
	d := new(Document)
	if err := d.decode(src); err != nil {
		return nil, err
	}
	return d, nil
}

func (d *Document) decode(src string) error {
	in := json.NewDecoder(strings.NewReader(src))
	in.DisallowUnknownFields()
	if err := in.Decode(d); err != nil {
		return fmt.Errorf("compiled document: %w", err)
	}
	if _, err := in.Token(); err != io.EOF {
		return errors.New("compiled document: more than one value")
	}
	return nil
}
