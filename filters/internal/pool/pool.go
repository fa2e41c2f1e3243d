// Package pool orders the backends of a pool for one request.
package pool

import (
	"slices"

	"github.com/tollgate/tollgate/filters/policy"
)

// Pool draws an order of backends per request. It belongs to one worker.
type Pool struct {
	members  []member // by priority
	strategy policy.Strategy
	attempts int
	next     uint64 // round-robin's first member
}

type member struct {
	backend  int // index into the document's backends
	priority int
	weight   int
}

// New prepares a pool. index gives a backend's place in the document; start
// spreads the workers' round robins.
func New(p *policy.Pool, index func(backend string) int, start uint64) *Pool {
	members := make([]member, len(p.Members))
	for i, m := range p.Members {
		members[i] = member{backend: index(m.Backend), priority: m.Priority, weight: m.Weight}
	}
	if p.Strategy == policy.Priority {
		slices.SortStableFunc(members, func(a, b member) int { return a.priority - b.priority })
	}
	return &Pool{members: members, strategy: p.Strategy, attempts: p.Retry.Attempts, next: start}
}

// Order appends to dst the backends to try, first to last: as many as the pool
// has attempts, none twice. random returns a number in [0, n).
func (p *Pool) Order(dst []int, random func(n int) int) []int {
	start := len(dst)
	switch p.strategy {
	case policy.RoundRobin:
		first := p.next % uint64(len(p.members))
		p.next++
		for i := range p.members {
			dst = append(dst, p.members[(int(first)+i)%len(p.members)].backend)
		}
	case policy.Weighted:
		dst = draw(dst, p.members, random)
	default: // policy.Priority: the groups one after the other
		for group := p.members; len(group) > 0; {
			n := 1
			for n < len(group) && group[n].priority == group[0].priority {
				n++
			}
			dst = draw(dst, group[:n], random)
			group = group[n:]
		}
	}
	return dst[:min(len(dst), start+p.attempts)]
}

// draw appends the group's backends in an order drawn by weight without
// replacement: a member of weight 2 comes first twice as often as one of 1.
func draw(dst []int, group []member, random func(n int) int) []int {
	if len(group) == 1 {
		return append(dst, group[0].backend)
	}
	total := 0
	for _, m := range group {
		total += m.weight
	}
	start := len(dst)
	for range group {
		at := random(total)
		for _, m := range group {
			if slices.Contains(dst[start:], m.backend) {
				continue
			}
			if at -= m.weight; at < 0 {
				dst = append(dst, m.backend)
				total -= m.weight
				break
			}
		}
	}
	return dst
}
