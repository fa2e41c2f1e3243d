//go:build linux

package main

import (
	"fmt"
	"io"
	"slices"
	"time"
)

func (b block) cpuPerRequest() float64 {
	return float64(b.cpu.Nanoseconds()) / float64(len(b.samples))
}

// total is a quantile of the time to the end of the answer, in nanoseconds.
func (b block) total(q float64) float64 {
	return quantile(b.samples, q, func(s sample) time.Duration { return s.total })
}

// first is the same to the first bytes of its body.
func (b block) first(q float64) float64 {
	return quantile(b.samples, q, func(s sample) time.Duration { return s.first })
}

func quantile(samples []sample, q float64, of func(sample) time.Duration) float64 {
	times := make([]time.Duration, len(samples))
	for i, s := range samples {
		times[i] = of(s)
	}
	slices.Sort(times)
	return float64(times[int(q*float64(len(times)-1))])
}

// unit is how a figure is written.
type unit struct {
	divisor float64
	name    string
}

var (
	micro = unit{1e3, " µs"}
	mega  = unit{1 << 20, " MB"}
)

func (u unit) format(v float64, sign string) string {
	return fmt.Sprintf("%"+sign+".0f%s", v/u.divisor, u.name)
}

// table collects figures per measure, side and round.
type table struct {
	order []string
	rows  map[string]*row
}

type row struct {
	unit  unit
	sides [2][]float64
}

func newTable() *table { return &table{rows: map[string]*row{}} }

func (t *table) add(side int, measure string, u unit, value float64) {
	r := t.rows[measure]
	if r == nil {
		r = &row{unit: u}
		t.rows[measure] = r
		t.order = append(t.order, measure)
	}
	r.sides[side] = append(r.sides[side], value)
}

// print writes the medians. The difference is the median of the differences
// within a round.
func (t *table) print(w io.Writer, caption string) {
	_, _ = fmt.Fprintf(w, "| | plain Envoy | with Tollgate | difference | ratio |\n|---|--:|--:|--:|--:|\n")
	for _, name := range t.order {
		r := t.rows[name]
		differences := make([]float64, len(r.sides[plain]))
		for i := range differences {
			differences[i] = r.sides[tollgate][i] - r.sides[plain][i]
		}
		a, b := median(r.sides[plain]), median(r.sides[tollgate])
		_, _ = fmt.Fprintf(w, "| %s | %s | %s | %s | %.2f |\n",
			name, r.unit.format(a, ""), r.unit.format(b, ""), r.unit.format(median(differences), "+"), b/a)
	}
	_, _ = fmt.Fprintf(w, "\n%s.\n", caption)
}

func median(values []float64) float64 {
	v := slices.Sorted(slices.Values(values))
	n := len(v)
	if n%2 == 1 {
		return v[n/2]
	}
	return (v[n/2-1] + v[n/2]) / 2
}
