package gateway

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tollgate/tollgate/filters/internal/caller"
	"github.com/tollgate/tollgate/filters/internal/chat"
	"github.com/tollgate/tollgate/filters/internal/pool"
	"github.com/tollgate/tollgate/filters/policy"
)

// engine is one document, prepared for requests. It is read only but for the
// round robins of its pools, and belongs to one worker.
type engine struct {
	maxBody  int
	apis     []policy.API // longest prefix first
	callers  *caller.Directory
	models   map[string]*model // by name and alias
	backends []backend
	limits   []tokenLimit
}

type model struct {
	name    string
	quoted  string // as JSON
	pool    *pool.Pool
	timeout string // of each try, in milliseconds
}

type backend struct {
	name       string
	shape      policy.Shape
	authority  string
	base       string // the path of its URL
	deployment string
	quoted     string // the deployment as JSON
	apiVersion string
}

type tokenLimit struct {
	policy.TokenLimit
	selectors []caller.Selector
}

// newEngine prepares a document that validation has accepted. start spreads the
// workers' round robins.
func newEngine(doc *policy.Document, register policy.Register, start uint64) (*engine, error) {
	e := &engine{maxBody: int(doc.Gateway.MaxBody), apis: slices.Clone(doc.APIs)}
	slices.SortStableFunc(e.apis, func(a, b policy.API) int { return len(b.Prefix) - len(a.Prefix) })
	e.callers = caller.New(doc, register)
	if err := e.addBackends(doc.Backends); err != nil {
		return nil, err
	}
	if err := e.addModels(doc, start); err != nil {
		return nil, err
	}
	for _, l := range doc.Limits.Tokens {
		selectors, err := caller.Compile(l.Key)
		if err != nil {
			return nil, fmt.Errorf("limit %q: %w", l.Name, err)
		}
		e.limits = append(e.limits, tokenLimit{TokenLimit: l, selectors: selectors})
	}
	return e, nil
}

func (e *engine) addBackends(backends []policy.Backend) error {
	for _, b := range backends {
		u, err := url.Parse(b.URL)
		if err != nil || u.Host == "" {
			return fmt.Errorf("backend %q: its url has no host", b.Name)
		}
		e.backends = append(e.backends, backend{
			name: b.Name, shape: b.Shape, authority: u.Host, base: strings.TrimSuffix(u.EscapedPath(), "/"),
			deployment: b.Deployment, quoted: quote(b.Deployment), apiVersion: b.APIVersion,
		})
	}
	return nil
}

func (e *engine) addModels(doc *policy.Document, start uint64) error {
	index := make(map[string]int, len(doc.Backends))
	for i, b := range doc.Backends {
		index[b.Name] = i
	}
	pools := make(map[string]*policy.Pool, len(doc.Pools))
	for i := range doc.Pools {
		pools[doc.Pools[i].Name] = &doc.Pools[i]
	}
	e.models = make(map[string]*model, len(doc.Models))
	for _, m := range doc.Models {
		p := pools[m.Pool]
		if p == nil {
			return fmt.Errorf("model %q: no pool %q", m.Name, m.Pool)
		}
		prepared := &model{
			name:    m.Name,
			quoted:  quote(m.Name),
			pool:    pool.New(p, func(name string) int { return index[name] }, start),
			timeout: strconv.FormatInt(time.Duration(p.Retry.Timeout).Milliseconds(), 10),
		}
		e.models[m.Name] = prepared
		for _, alias := range m.Aliases {
			e.models[alias] = prepared
		}
	}
	return nil
}

// recognise finds the API and the operation of a path; ok is false where there
// is none.
func (e *engine) recognise(path string) (api *policy.API, target chat.Target, ok bool) {
	for i := range e.apis {
		a := &e.apis[i]
		if t, below := chat.Recognise(a.Shape, a.Prefix, path); below {
			return a, t, t.Operation != chat.Unknown
		}
	}
	return nil, chat.Target{}, false
}

// plan is the tries of a request for a model, in the order of its pool. asked is
// the model in the request's body, "" where it has none.
func (e *engine) plan(m *model, op chat.Operation, asked string, random func(n int) int) []pool.Try {
	order := m.pool.Order(make([]int, 0, 4), random)
	tries := make([]pool.Try, len(order))
	for i, index := range order {
		b := &e.backends[index]
		name, quoted := b.deployment, b.quoted
		if name == "" {
			name, quoted = m.name, m.quoted
		}
		tries[i] = pool.Try{
			Backend:   b.name,
			Authority: b.authority,
			Path:      chat.BackendPath(b.shape, b.base, op, name, b.apiVersion),
		}
		// Azure takes the deployment from the path and ignores the body's model.
		if b.shape != policy.Azure && name != asked {
			tries[i].Model = quoted
			if asked == "" { // a deployment in the client's path
				tries[i].Model = `"model":` + quoted + `,`
			}
		}
	}
	return tries
}

// quote writes a name as JSON.
func quote(name string) string {
	text, _ := json.Marshal(name) // a string always can
	return string(text)
}

// rate is the tokens per minute that hold for a request: the limit's own, or
// what its header asks for. clamped is true where the header asked for less or
// more than it may.
func (l *tokenLimit) rate(header func(name string) string) (rate int64, clamped bool) {
	r := &l.TokensPerMinute
	if r.Header == "" {
		return r.Default, false
	}
	asked, err := strconv.ParseInt(strings.TrimSpace(header(r.Header)), 10, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) { // out of range is clamped like any number
		return r.Default, false
	}
	rate = min(max(asked, r.Min), r.Max)
	return rate, rate != asked
}
