package scenarios

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// probe sends one kind of request at a fixed rate, whether or not earlier ones
// have been answered, from its start until finish.
type probe struct {
	client *http.Client
	stop   chan struct{}
	done   sync.WaitGroup

	mu      sync.Mutex
	results []result
}

type result struct {
	due  time.Time     // when it should have been sent
	took time.Duration // from due to the answer's last byte
	bad  string        // what is wrong with the answer, if anything
}

// startProbe starts one of so many requests a second. An answer other than a 200
// is bad.
func startProbe(rate int, request func() *http.Request) *probe {
	p := &probe{
		client: &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 256}},
		stop:   make(chan struct{}),
	}
	p.done.Add(1)
	go func() {
		defer p.done.Done()
		for due := time.Now(); ; due = due.Add(time.Second / time.Duration(rate)) {
			select {
			case <-p.stop:
				return
			case <-time.After(time.Until(due)):
				p.done.Add(1)
				go func() { defer p.done.Done(); p.send(due, request()) }()
			}
		}
	}()
	return p
}

func (p *probe) send(due time.Time, req *http.Request) {
	bad := ""
	res, err := p.client.Do(req)
	if err == nil {
		var body []byte
		body, err = io.ReadAll(res.Body)
		res.Body.Close()
		if res.StatusCode != http.StatusOK {
			bad = fmt.Sprintf("%d %s", res.StatusCode, strings.TrimSpace(string(body[:min(len(body), 300)])))
		}
	}
	if err != nil {
		bad = err.Error()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.results = append(p.results, result{due, time.Since(due), bad})
}

// count is how many answers have come so far.
func (p *probe) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.results)
}

// finish stops sending, waits for what is in flight and returns all results in
// the order in which they were due. A bad one fails the test.
func (p *probe) finish(t testing.TB) []result {
	t.Helper()
	close(p.stop)
	p.done.Wait()
	p.client.CloseIdleConnections()
	slices.SortFunc(p.results, func(a, b result) int { return a.due.Compare(b.due) })
	bad := 0
	for _, r := range p.results {
		if r.bad == "" {
			continue
		}
		if bad++; bad <= 5 {
			t.Errorf("request %d of %d: %s", slices.Index(p.results, r)+1, len(p.results), r.bad)
		}
	}
	if bad > 0 {
		t.Errorf("%d of %d requests failed", bad, len(p.results))
	}
	return p.results
}

// slowest is the longest a request due between two instants took, and median
// the time half of them took.
func slowest(results []result, from, to time.Time) (worst, median time.Duration) {
	var took []time.Duration
	for _, r := range results {
		if !r.due.Before(from) && r.due.Before(to) {
			took = append(took, r.took)
		}
	}
	if len(took) == 0 {
		return 0, 0
	}
	slices.Sort(took)
	return took[len(took)-1], took[len(took)/2]
}
