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
	if rest, register, ok := cut(compiled); ok {
		d, err := decode(rest)
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

func decode(src string) (*Document, error) {
	d := new(Document)
	in := json.NewDecoder(strings.NewReader(src))
	in.DisallowUnknownFields()
	if err := in.Decode(d); err != nil {
		return nil, fmt.Errorf("compiled document: %w", err)
	}
	if _, err := in.Token(); err != io.EOF {
		return nil, errors.New("compiled document: more than one value")
	}
	return d, nil
}
