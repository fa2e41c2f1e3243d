package limit

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The scripts: "TIME reserve NAME KEY:TOKENS/LIMIT… => VERDICT",
// "TIME settle NAME USED => STANDING" and "TIME look KEY/LIMIT => STANDING".
// All keys are in one group.
var scripts = []struct{ name, script string }{
	{"the example of the package", `
		0s  reserve A a:500/1000 => 500 left, full in 30s
		0s  reserve B a:400/1000 => 100 left, full in 54s
		0s  reserve C a:200/1000 => refused by 0 for 6s: 100 left, full in 54s
		2s  settle A 100         => 533 left, full in 28s
		2s  reserve C a:200/1000 => 333 left, full in 40s
		3s  settle B 900         => 0 left, full in 1m9s
		3s  reserve D a:1/1000   => refused by 0 for 9.06s: 0 left, full in 1m9s
	`},
	{"a whole bucket at once, then nothing", `
		0s  reserve A a:1000/1000 => 0 left, full in 1m0s
		0s  reserve B a:1/1000    => refused by 0 for 60ms: 0 left, full in 1m0s
		60ms reserve B a:1/1000   => 0 left, full in 1m0s
	`},
	{"the wait is exact", `
		0s  reserve A a:7/7 => 0 left, full in 1m0s
		0s  reserve B a:1/7 => refused by 0 for 8.571428572s: 0 left, full in 1m0s
		8.571428571s reserve B a:1/7 => refused by 0 for 1ns: 0 left, full in 51.428571429s
		8.571428572s reserve B a:1/7 => 0 left, full in 1m0s
	`},
	{"more than the bucket never passes", `
		0s reserve A a:1001/1000 => never by 0: 1000 left, full in 0s
		0s reserve B b:1/1000 a:5/4 => never by 1: 4 left, full in 0s
		0s look b/1000 => 1000 left, full in 0s
	`},
	{"a limit below one never passes", `
		0s reserve A a:0/0 => never by 0: 0 left, full in 0s
		0s reserve B a:1/-5 => never by 0: 0 left, full in 0s
	`},
	{"a full bucket is not overfilled by waiting", `
		0s  reserve A a:10/1000 => 990 left, full in 600ms
		1h  reserve B a:10/1000 => 990 left, full in 600ms
	`},
	{"nothing reserved, charged afterwards", `
		0s  reserve A a:0/1000 => 1000 left, full in 0s
		5s  settle A 250       => 750 left, full in 15s
		5s  reserve B a:0/1000 => 750 left, full in 15s
		6s  settle B 5000      => 0 left, full in 5m14s
	`},
	{"nothing reserved needs something left", `
		0s  reserve A a:1000/1000 => 0 left, full in 1m0s
		0s  reserve B a:0/1000    => refused by 0 for 1ns: 0 left, full in 1m0s
		0s  settle A 1500         => 0 left, full in 1m30s
		0s  reserve B a:0/1000    => refused by 0 for 30.000000001s: 0 left, full in 1m30s
		30.000000001s reserve B a:0/1000 => 0 left, full in 59.999999999s
	`},
	{"a debt is paid back before anything passes", `
		0s  reserve A a:1/60   => 59 left, full in 1s
		0s  settle A 600       => 0 left, full in 10m0s
		9m  reserve B a:1/60   => refused by 0 for 1s: 0 left, full in 1m0s
		9m1s reserve B a:1/60  => 0 left, full in 1m0s
	`},
	{"a full refund", `
		0s  reserve A a:700/1000 => 300 left, full in 42s
		0s  settle A 0           => 1000 left, full in 0s
	`},
	{"settled as reserved", `
		0s  reserve A a:700/1000 => 300 left, full in 42s
		1s  settle A 700         => 316 left, full in 41s
	`},
	{"a negative use is none", `
		0s  reserve A a:700/1000 => 300 left, full in 42s
		0s  settle A -5          => 1000 left, full in 0s
	`},
	{"settled twice", `
		0s  reserve A a:100/1000 => 900 left, full in 6s
		0s  reserve B a:100/1000 => 800 left, full in 12s
		0s  settle A 0           => 900 left, full in 6s
		0s  settle A 0           => 0 left, full in 0s
		0s  settle A 999         => 0 left, full in 0s
		0s  look a/1000          => 900 left, full in 6s
	`},
	{"no refund once the bucket has been full", `
		0s  reserve A a:1000/1000 => 0 left, full in 1m0s
		60s reserve B a:1000/1000 => 0 left, full in 1m0s
		60s settle A 0            => 0 left, full in 1m0s
		60s reserve C a:1000/1000 => refused by 0 for 1m0s: 0 left, full in 1m0s
	`},
	{"nor once it has been all but full", `
		0s  reserve A a:1000/1000 => 0 left, full in 1m0s
		59s reserve B a:950/1000  => 33 left, full in 58s
		59s settle A 0            => 50 left, full in 57s
		59s reserve C a:1000/1000 => refused by 0 for 57s: 50 left, full in 57s
	`},
	{"the used part flows back first", `
		0s  reserve A a:1000/1000 => 0 left, full in 1m0s
		30s settle A 600          => 900 left, full in 6s
		30s reserve B a:1000/1000 => refused by 0 for 6s: 900 left, full in 6s
	`},
	{"a refund behind another", `
		0s  reserve A a:500/1000 => 500 left, full in 30s
		0s  reserve B a:500/1000 => 0 left, full in 1m0s
		20s settle B 0           => 833 left, full in 10s
		20s settle A 0           => 1000 left, full in 0s
	`},
	{"a reservation the moment the bucket is full", `
		0s  reserve A a:500/1000 => 500 left, full in 30s
		30s reserve B a:500/1000 => 500 left, full in 30s
		30s settle A 0           => 500 left, full in 30s
		30s settle B 0           => 1000 left, full in 0s
	`},
	{"settled at the rate of the reservation", `
		0s  reserve A a:50/100   => 50 left, full in 30s
		0s  reserve B a:100/1000 => 400 left, full in 36s
		0s  settle A 40          => 50 left, full in 30s
		0s  look a/1000          => 500 left, full in 30s
	`},
	{"another rate is no fresh bucket", `
		0s  reserve A a:1000/1000   => 0 left, full in 1m0s
		0s  reserve B a:1000/100000 => refused by 0 for 600ms: 0 left, full in 1m0s
	`},
	{"all or nothing", `
		0s  reserve A a:10/100 b:10/10 c:10/50 => 90 left, full in 6s; 0 left, full in 1m0s; 40 left, full in 12s
		0s  reserve B a:10/100 b:10/10 c:10/50 => refused by 1 for 1m0s: 0 left, full in 1m0s
		0s  look a/100                         => 90 left, full in 6s
		0s  look c/50                          => 40 left, full in 12s
	`},
	{"the longest refusal is told", `
		0s  reserve A a:10/10 b:100/100 c:10/100 => 0 left, full in 1m0s; 0 left, full in 1m0s; 90 left, full in 6s
		0s  reserve B a:1/10 b:50/100 c:5/100    => refused by 1 for 30s: 0 left, full in 1m0s
		30s reserve B a:1/10 b:50/100 c:5/100    => 4 left, full in 36s; 0 left, full in 1m0s; 95 left, full in 3s
	`},
	{"a clock that goes backwards stands still", `
		10s reserve A a:1000/1000 => 0 left, full in 1m0s
		5s  reserve B a:1/1000    => refused by 0 for 60ms: 0 left, full in 1m0s
		5s  settle A 500          => 500 left, full in 30s
		11s look a/1000           => 516 left, full in 29s
	`},
	{"seven keys hold a slot, the others share one", `
		0s  reserve A a:600/1000 => 400 left, full in 36s
		0s  reserve B b:600/1000 => 400 left, full in 36s
		0s  reserve C c:600/1000 => 400 left, full in 36s
		0s  reserve D d:600/1000 => 400 left, full in 36s
		0s  reserve E e:600/1000 => 400 left, full in 36s
		0s  reserve F f:600/1000 => 400 left, full in 36s
		0s  reserve G g:600/1000 => 400 left, full in 36s
		0s  reserve H h:600/1000 => 400 left, full in 36s
		0s  reserve I i:600/1000 => refused by 0 for 12s: 400 left, full in 36s
		0s  reserve A2 a:400/1000 => 0 left, full in 1m0s
		0s  settle H 500         => 500 left, full in 30s
		0s  settle B 0           => 1000 left, full in 0s
		0s  reserve H2 h:600/1000 => refused by 0 for 6s: 500 left, full in 30s
		0s  reserve I i:500/1000 => 0 left, full in 1m0s
		40s look h/1000          => 1000 left, full in 0s
	`},
	{"a debt in the shared slot lasts a minute at most", `
		0s  reserve A a:600/1000 b:600/1000 c:600/1000 d:600/1000 e:600/1000 f:600/1000 g:600/1000 => 400 left, full in 36s; 400 left, full in 36s; 400 left, full in 36s; 400 left, full in 36s; 400 left, full in 36s; 400 left, full in 36s; 400 left, full in 36s
		0s  reserve H h:100/1000 => 900 left, full in 6s
		0s  settle H 100000      => 0 left, full in 1m0s
		0s  reserve I i:1/1000   => refused by 0 for 60ms: 0 left, full in 1m0s
		0s  settle A 300         => 700 left, full in 18s
	`},
	{"absurd numbers saturate", `
		0s  reserve A a:0/1                   => 1 left, full in 0s
		0s  settle A 9223372036854775807      => 0 left, full in 320255h58m24.606846976s
		0s  reserve B a:1/1                   => refused by 0 for 320255h58m24.606846976s: 0 left, full in 320255h58m24.606846976s
		0s  reserve C b:9223372036854775807/9223372036854775807 => 0 left, full in 1m0s
		0s  settle C 0                        => 9223372036854775807 left, full in 0s
	`},
}

func TestScripts(t *testing.T) {
	for _, tc := range scripts {
		t.Run(tc.name, func(t *testing.T) {
			r := runner{Table: newTable(t, newShared(), 1), held: map[string][]Held{}}
			for line := range strings.Lines(strings.TrimSpace(tc.script)) {
				step, want, _ := strings.Cut(strings.TrimSpace(line), "=>")
				if got := r.run(t, strings.Fields(step)); got != strings.TrimSpace(want) {
					t.Errorf("%s\n got %s\nwant%s", step, got, want)
				}
			}
		})
	}
}

type runner struct {
	*Table
	held map[string][]Held
}

func (r *runner) run(t *testing.T, step []string) string {
	now, err := time.ParseDuration(step[0])
	if err != nil {
		t.Fatal(err)
	}
	switch step[1] {
	case "reserve":
		var charges []Charge
		for _, f := range step[3:] {
			name, amount, _ := strings.Cut(f, ":")
			tokens, limit, _ := strings.Cut(amount, "/")
			charges = append(charges, Charge{key(r.Table, name), number(t, limit), number(t, tokens)})
		}
		held, v := r.Reserve(int64(now), charges, nil)
		switch v.Outcome {
		case Passed:
			r.held[step[2]] = held
			var all []string
			for _, h := range held {
				all = append(all, h.Standing.String())
			}
			return strings.Join(all, "; ")
		case Exhausted:
			return fmt.Sprintf("refused by %d for %s: %s", v.Charge, v.Wait, v.Standing)
		case Never:
			return fmt.Sprintf("never by %d: %s", v.Charge, v.Standing)
		}
		return fmt.Sprintf("outcome %d, wait %s", v.Outcome, v.Wait)
	case "settle":
		return r.Settle(int64(now), &r.held[step[2]][0], number(t, step[3])).String()
	case "look":
		name, limit, _ := strings.Cut(step[2], "/")
		return r.Table.Standing(int64(now), key(r.Table, name), number(t, limit)).String()
	}
	t.Fatalf("unknown step %q", step)
	return ""
}

func (s Standing) String() string {
	return fmt.Sprintf("%d left, full in %s", s.Remaining, s.Reset)
}

func number(t *testing.T, s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestNewRefuses(t *testing.T) {
	for _, groups := range []int{-4096, 0, 3, 4095, 1 << 17} {
		want := fmt.Sprintf("limit groups: want a power of two from 1 to 65536, got %d", groups)
		if _, err := New(newShared(), 1, groups); err == nil || err.Error() != want {
			t.Errorf("error = %v, want %s", err, want)
		}
	}
}

func TestOneReadOneWrite(t *testing.T) {
	s := newShared()
	table := newTable(t, s, 1)
	k := key(table, "a")
	charge := []Charge{{k, 1000, 10}}
	var held []Held
	for _, tc := range []struct {
		name       string
		do         func()
		gets, sets int
	}{
		{"reservation in one limit", func() { held, _ = table.Reserve(0, charge, held) }, 1, 1},
		{"settlement", func() { table.Settle(0, &held[0], 5) }, 1, 1},
		{"settlement of nothing", func() { table.Settle(0, &held[0], 5) }, 0, 0},
		{"settlement as reserved", func() {
			held, _ = table.Reserve(0, charge, held[:0])
			table.Settle(0, &held[0], 10)
		}, 2, 1},
		{"reservation of nothing", func() { table.Reserve(0, []Charge{{k, 1000, 0}}, nil) }, 1, 0},
		{"refusal", func() { table.Reserve(0, []Charge{{k, 1000, 999}}, nil) }, 1, 0},
		{"look", func() { table.Standing(0, k, 1000) }, 1, 0},
	} {
		s.gets, s.sets = 0, 0
		tc.do()
		if s.gets != tc.gets || s.sets != tc.sets {
			t.Errorf("%s: %d gets and %d sets, want %d and %d", tc.name, s.gets, s.sets, tc.gets, tc.sets)
		}
	}
}

func TestForeignLayoutIsEmpty(t *testing.T) {
	s := newShared()
	s.Set("limit/0000", make([]byte, 192), 0)
	table := newTable(t, s, 1)
	if _, v := table.Reserve(0, []Charge{{key(table, "a"), 10, 10}}, nil); v.Outcome != Passed {
		t.Errorf("outcome = %d, want %d", v.Outcome, Passed)
	}
	if _, v := table.Reserve(0, []Charge{{key(table, "a"), 10, 1}}, nil); v.Outcome != Exhausted {
		t.Errorf("outcome = %d, want %d", v.Outcome, Exhausted)
	}
}
