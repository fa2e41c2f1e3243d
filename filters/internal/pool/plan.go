package pool

import (
	"slices"
	"strconv"
	"strings"

	"github.com/tollgate/tollgate/filters/policy"
)

// Names of the filter state that the two filters and Envoy's router share for one
// request. Envoy knows them with "wasm." in front.
const (
	// BackendState names the backend of the next try; the route's matcher reads
	// it anew for each.
	BackendState = "tollgate.backend"
	// PlanState is the Plan, written once.
	PlanState = "tollgate.order"
	// TriesState is the Trail, written by each try.
	TriesState = "tollgate.tries"
)

// Plan is everything the tries of one request need, in their order. It travels
// as text, so that a try knows its request without sharing memory or
// configuration with the gateway filter.
type Plan struct {
	// Length is the size in bytes of the body before a try changes it.
	Length int
	// Start and End are the bytes of it that a try's Model replaces.
	Start, End int
	// Tries are the backends, first to last.
	Tries []Try
}

// Try is one backend in a Plan. No value holds a tab or a line feed.
type Try struct {
	Backend   string // its name
	Authority string // the host it wants to be called by
	Path      string // absolute, with its query
	Model     string // JSON that replaces Start to End of the body; "" leaves it
}

// Append appends the plan's text to dst.
func (p *Plan) Append(dst []byte) []byte {
	dst = strconv.AppendInt(dst, int64(p.Length), 10)
	dst = append(dst, '\t')
	dst = strconv.AppendInt(dst, int64(p.Start), 10)
	dst = append(dst, '\t')
	dst = strconv.AppendInt(dst, int64(p.End), 10)
	for i := range p.Tries {
		t := &p.Tries[i]
		dst = append(dst, '\n')
		dst = append(dst, t.Backend...)
		dst = append(dst, '\t')
		dst = append(dst, t.Authority...)
		dst = append(dst, '\t')
		dst = append(dst, t.Path...)
		dst = append(dst, '\t')
		dst = append(dst, t.Model...)
	}
	return dst
}

// Step is one try of a plan, as the attempt filter carries it out.
type Step struct {
	Try
	Length, Start, End int    // of the body, as in Plan
	Next               string // the backend after it, "" where it is the last
}

// Read returns the nth try, from 0, of a plan's text; ok is false where the plan
// has none such.
func Read(plan string, n int) (s Step, ok bool) {
	head, rest, ok := strings.Cut(plan, "\n")
	if !ok {
		return Step{}, false
	}
	length, span, _ := strings.Cut(head, "\t")
	start, end, _ := strings.Cut(span, "\t")
	s.Length, s.Start, s.End = number(length), number(start), number(end)
	for ; n > 0; n-- {
		if _, rest, ok = strings.Cut(rest, "\n"); !ok {
			return Step{}, false
		}
	}
	line, after, _ := strings.Cut(rest, "\n")
	s.Backend, line, _ = strings.Cut(line, "\t")
	s.Authority, line, _ = strings.Cut(line, "\t")
	if s.Path, s.Model, ok = strings.Cut(line, "\t"); !ok {
		return Step{}, false
	}
	s.Next, _, _ = strings.Cut(after, "\t")
	return s, true
}

func number(s string) int {
	n, _ := strconv.Atoi(s)
	return n
}

// Trail is the outcomes of a request's tries so far, as text: a line per try.
type Trail string

// Outcome is how one try ended.
type Outcome struct {
	Backend string
	// Status is the answer's, 0 where none has come: a try without an answer
	// when the next one starts was refused, reset or timed out.
	Status int
	// Wait is what the answer asked for with Retry-After or retry-after-ms, in
	// milliseconds; 0 where it did not ask.
	Wait int64
}

// Begin adds a try whose outcome is unknown.
func (t Trail) Begin(backend string) Trail {
	return t + Trail(backend) + "\t\t\n"
}

// End gives the last try its outcome.
func (t Trail) End(o Outcome) Trail {
	open := strings.TrimSuffix(string(t), "\t\t\n")
	text := make([]byte, 0, len(open)+24)
	text = append(text, open...)
	text = append(text, '\t')
	text = strconv.AppendInt(text, int64(o.Status), 10)
	text = append(text, '\t')
	text = strconv.AppendInt(text, o.Wait, 10)
	return Trail(append(text, '\n'))
}

// Len is the number of tries.
func (t Trail) Len() int { return strings.Count(string(t), "\n") }

// Outcomes calls yield for each try, first to last.
func (t Trail) Outcomes(yield func(Outcome) bool) {
	for rest := string(t); rest != ""; {
		var line string
		line, rest, _ = strings.Cut(rest, "\n")
		name, line, _ := strings.Cut(line, "\t")
		status, wait, _ := strings.Cut(line, "\t")
		if !yield(Outcome{Backend: name, Status: number(status), Wait: int64(number(wait))}) {
			return
		}
	}
}

// MaxWait caps what a backend may ask for, in milliseconds. Azure says a day
// where a daily quota is used up, and a client must not be told to give up for
// that long on one backend's word.
const MaxWait = 5 * 60 * 1000

// Wait reads the wait an answer asks for, in milliseconds, 0 for none: first
// retry-after-ms, which is what OpenAI's SDKs do, then Retry-After in seconds.
// The HTTP date that Retry-After may also be is not read; no LLM backend sends
// one.
func Wait(retryAfterMs, retryAfter string) int64 {
	if ms, err := strconv.ParseFloat(retryAfterMs, 64); err == nil && ms > 0 {
		return min(int64(ms), MaxWait)
	}
	if s, err := strconv.ParseFloat(retryAfter, 64); err == nil && s > 0 {
		return min(int64(s*1000), MaxWait)
	}
	return 0
}

// Retriable reports whether a status makes Envoy try the next backend.
func Retriable(status int) bool { return slices.Contains(policy.Retriable, status) }
