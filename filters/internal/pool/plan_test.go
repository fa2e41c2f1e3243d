package pool

import (
	"slices"
	"strings"
	"testing"
)

func TestPlanIsReadTryByTry(t *testing.T) {
	plan := Plan{Length: 300, Start: 9, End: 17, Tries: []Try{
		{"a", "a.example", "/v1/chat/completions", ""},
		{"b", "b.example:8443", "/openai/deployments/x/chat/completions?api-version=2024-10-21", `"gpt-4o-mini"`},
	}}
	text := string(plan.Append(nil))
	for i, want := range []Step{
		{plan.Tries[0], 300, 9, 17, "b"},
		{plan.Tries[1], 300, 9, 17, ""},
	} {
		got, ok := Read(text, i)
		if !ok || got != want {
			t.Errorf("try %d is %+v, %v; want %+v", i, got, ok, want)
		}
	}
	for _, n := range []int{2, 3, 100} {
		if got, ok := Read(text, n); ok {
			t.Errorf("try %d of two is %+v", n, got)
		}
	}
	if _, ok := Read("", 0); ok {
		t.Error("an absent plan has a try")
	}
}

func TestTrailKeepsOutcomes(t *testing.T) {
	var trail Trail
	trail = trail.Begin("a").End(Outcome{Status: 429, Wait: 7000})
	trail = trail.Begin("b") // reset: never ended
	trail = trail.Begin("c").End(Outcome{Status: 200})
	want := []Outcome{{"a", 429, 7000}, {"b", 0, 0}, {"c", 200, 0}}
	if got := slices.Collect(trail.Outcomes); !slices.Equal(got, want) {
		t.Errorf("outcomes %+v, want %+v", got, want)
	}
	if trail.Len() != 3 {
		t.Errorf("%d tries, want 3", trail.Len())
	}
}

func TestWait(t *testing.T) {
	for _, c := range []struct {
		name, ms, seconds string
		want              int64
	}{
		{"none", "", "", 0},
		{"seconds", "", "7", 7000},
		{"milliseconds come first", "250", "7", 250},
		{"fractions", "0.5", "1.5", 0},
		{"a day is capped", "", "86400", MaxWait},
		{"negative", "-5", "-1", 0},
		{"a date", "", "Wed, 21 Oct 2026 07:28:00 GMT", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := Wait(c.ms, c.seconds); got != c.want {
				t.Errorf("%d ms, want %d", got, c.want)
			}
		})
	}
}

// Any plan is read as it was written, and any text is read without harm.
func FuzzRead(f *testing.F) {
	f.Add("5\t1\t2\na\tb\tc\td", 1, "backend", "host:1", "/v1/chat/completions?x=y", `"model"`)
	f.Add("\n\t0\n0", 0, "", "", "", "")
	f.Fuzz(func(t *testing.T, text string, n int, backend, authority, path, model string) {
		if s, ok := Read(text, n&15); !ok && s != (Step{}) {
			t.Errorf("no try, yet %+v", s)
		}
		plan := Plan{Length: n & 0xffff, End: n & 0xff}
		for range n&3 + 1 {
			plan.Tries = append(plan.Tries, Try{backend, authority, path, model})
		}
		for _, value := range []string{backend, authority, path, model} {
			if strings.ContainsAny(value, "\t\n") {
				return // no value of a plan has them
			}
		}
		written := string(plan.Append(nil))
		for i, want := range plan.Tries {
			if s, ok := Read(written, i); !ok || s.Try != want || s.Length != plan.Length || s.End != plan.End {
				t.Errorf("try %d of %q is %+v, %v", i, written, s, ok)
			}
		}
		if s, ok := Read(written, len(plan.Tries)); ok {
			t.Errorf("one try more: %+v", s)
		}
	})
}
