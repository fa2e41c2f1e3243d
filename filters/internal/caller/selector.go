package caller

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/tollgate/tollgate/filters/policy"
)

// Facts are what selectors pick from. Costly ones are asked for only where a
// selector wants them.
type Facts struct {
	Caller     Caller
	API        string
	Model      string
	Deployment string // the model named in the client's path, "" where it names none
	Path       string // with its query

	Header func(name string) string
	Source func() string // the client's address and port
}

// Selector is a compiled policy.Selector.
type Selector struct {
	kind kind
	name string // of a header or a query parameter
}

type kind uint8

const (
	subscription kind = iota
	product
	sourceIP
	header
	query
	model
	deployment
	api
)

var plain = map[policy.Selector]kind{
	"subscription": subscription,
	"product":      product,
	"source.ip":    sourceIP,
	"model":        model,
	"deployment":   deployment,
	"api":          api,
}

// Compile prepares the selectors of a counter key.
func Compile(selectors []policy.Selector) ([]Selector, error) {
	compiled := make([]Selector, len(selectors))
	for i, s := range selectors {
		kindName, argument, _ := strings.Cut(string(s), ":")
		k, ok := plain[s]
		switch {
		case ok:
			compiled[i] = Selector{kind: k}
		case kindName == "header" && argument != "":
			compiled[i] = Selector{kind: header, name: strings.ToLower(argument)}
		case kindName == "query" && argument != "":
			compiled[i] = Selector{kind: query, name: argument}
		default:
			return nil, fmt.Errorf("selector %q: unknown", s)
		}
	}
	return compiled, nil
}

// Absent is what a missing value counts as.
const Absent = "-"

// Value returns what the selector picks, Absent where there is nothing.
func (s Selector) Value(f *Facts) string {
	value := s.pick(f)
	if value == "" {
		return Absent
	}
	return value
}

func (s Selector) pick(f *Facts) string {
	switch s.kind {
	case subscription:
		return f.Caller.Subscription
	case product:
		return f.Caller.Product
	case sourceIP:
		return withoutPort(f.Source())
	case header:
		return f.Header(s.name)
	case query:
		_, q, _ := strings.Cut(f.Path, "?")
		values, _ := url.ParseQuery(q) // what does parse is used
		return values.Get(s.name)
	case model:
		return f.Model
	case deployment:
		return f.Deployment
	default:
		return f.API
	}
}

// withoutPort strips the port of "1.2.3.4:5" and "[::1]:5".
func withoutPort(address string) string {
	i := strings.LastIndexByte(address, ':')
	if i < 0 {
		return address
	}
	return strings.Trim(address[:i], "[]")
}
