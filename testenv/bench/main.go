//go:build linux

// Command bench is `make bench`: what Tollgate costs. It sends the same load at
// the same fixed rate through a plain Envoy and through an Envoy with the
// module, in turns, and prints one Markdown table.
//
// The load is open loop: a request is sent when it is due, whether or not the
// ones before have been answered, and its latency counts from when it was due.
// Envoy has one worker and, where there are two, a processor of its own; load
// and mock LLM share the others. Every answer must be a 200 with exactly the
// bytes the mock sends, or the run fails.
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"time"
)

func init() {
	// The processes started live as long as the thread that started them.
	runtime.LockOSThread()
}

func main() {
	if len(os.Args) == 2 && os.Args[1] == "mock" {
		exit(serveMock())
	}
	p := plan{bodies: []int{600, 2 << 10, 20 << 10}}
	flag.IntVar(&p.rate, "rate", 500, "requests per second; a fifth as many streams")
	seconds := flag.Float64("seconds", 4, "length of a block of load; its first tenth is warm-up")
	flag.IntVar(&p.rounds, "rounds", 5, "blocks per request and gateway, of which the table has the medians")
	quick := flag.Bool("quick", false, "a look at whether everything works, in half a minute: the figures mean little")
	flag.Parse()
	p.block = time.Duration(*seconds * float64(time.Second))
	if *quick {
		p.rate, p.block, p.rounds = 200, time.Second, 1
	}
	if flag.NArg() > 0 || p.rate < 1 || p.rounds < 1 || p.block < time.Second {
		fmt.Fprintln(os.Stderr, "bench: want -rate and -rounds from 1, -seconds from 1, and no arguments")
		os.Exit(2)
	}
	exit(p.run())
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// plan is what is measured.
type plan struct {
	rate, rounds int
	block        time.Duration
	bodies       []int // bytes
}

// connections is how many clients ask without pause for the cost at full load,
// where nothing is spent on waking up. A second divided by it is the most that
// one processor can do; what is reached here is less, because load and mock
// want more of the other one.
const connections = 16

// streamShare is how many times fewer streams than JSON requests are begun in a
// second: each is twenty writes, and what is measured is not to be saturation.
const streamShare = 5

func (p plan) run() error {
	f, err := newFleet()
	if err != nil {
		return err
	}
	defer f.close()

	pair, err := f.pair(1)
	if err != nil {
		return err
	}
	var requests []*request
	for _, stream := range []bool{false, true} {
		for _, size := range p.bodies {
			r, err := newRequest(f.mock, size, stream)
			if err != nil {
				return err
			}
			requests = append(requests, r)
		}
	}
	t := newTable()
	for round := range p.rounds {
		for _, r := range requests {
			progress("round %d of %d: %s", round+1, p.rounds, r.name)
			if err := p.measure(t, r, pair, round); err != nil {
				return err
			}
		}
	}
	if err := p.memory(t, f, pair, requests[0]); err != nil {
		return err
	}
	t.print(os.Stdout, fmt.Sprintf("%d requests or %d streams a second in blocks of %v, medians of %d rounds, %s",
		p.rate, max(1, p.rate/streamShare), p.block, p.rounds, machine()))
	return nil
}

// measure is one round of one request: both gateways, each going first in
// every other round.
func (p plan) measure(t *table, r *request, pair [2]*target, round int) error {
	rate := p.rate
	if r.stream {
		rate = max(1, rate/streamShare)
	}
	for i := range pair {
		side := (i + round) % 2
		target := pair[side]
		b, err := target.openLoop(r, rate, p.block)
		if err != nil {
			return err
		}
		t.add(side, r.name+", CPU per request", micro, b.cpuPerRequest())
		t.add(side, r.name+", p50", micro, b.total(.5))
		t.add(side, r.name+", p99", micro, b.total(.99))
		t.add(side, r.name+", p99.9", micro, b.total(.999))
		if r.stream {
			t.add(side, r.name+", first chunk p50", micro, b.first(.5))
			t.add(side, r.name+", first chunk p99", micro, b.first(.99))
			continue
		}
		b, err = target.closedLoop(r, connections, max(p.block/2, time.Second))
		if err != nil {
			return err
		}
		t.add(side, r.name+", CPU per request at full load", micro, b.cpuPerRequest())
	}
	return nil
}

// memory is what the gateways hold: those that have carried the load, with one
// worker, and fresh ones with four.
func (p plan) memory(t *table, f *fleet, one [2]*target, r *request) error {
	progress("memory")
	four, err := f.pair(4)
	if err != nil {
		return err
	}
	for side := range four {
		// Enough connections that every worker gets some.
		if _, err := four[side].closedLoop(r, 64, time.Second); err != nil {
			return err
		}
		for i, target := range []*target{one[side], four[side]} {
			size, err := rss(target.pid)
			if err != nil {
				return err
			}
			t.add(side, []string{"memory, 1 worker", "memory, 4 workers"}[i], mega, size)
		}
	}
	return nil
}

func progress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", args...)
}
