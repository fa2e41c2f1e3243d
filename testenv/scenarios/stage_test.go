package scenarios

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tollgate/tollgate/testenv/gateway"
	"github.com/tollgate/tollgate/testenv/mock"
)

// house is a running document with its backends.
type house struct {
	document string
	urls     map[string]string // of the backends
	gateway  *gateway.Gateway
	backends map[string]*mock.Server
}

// open starts the backends of a group and a gateway in front of them.
func open(t *testing.T, engine gateway.Engine, group group) *house {
	t.Helper()
	h := &house{backends: map[string]*mock.Server{}, urls: map[string]string{}}
	for _, o := range group.backends {
		backend := start(t, o)
		h.backends[o.Name] = backend
		h.urls[o.Name] = backend.URL()
		if o.Host != "" {
			h.urls[o.Name] = strings.Replace(backend.URL(), "127.0.0.1", "localhost", 1)
		}
	}
	scenarios := 0
	for _, table := range group.tables {
		scenarios += len(table.scenarios)
	}
	h.document = h.fill(strings.Replace(group.document, "$SUBSCRIPTIONS\n", subscriptions(2*scenarios), 1))
	h.gateway = engine.Start(t, h.document, group.options...)
	return h
}

// fill replaces the placeholders that are not the gateway's.
func (h *house) fill(text string) string {
	var pairs []string
	for name, url := range h.urls {
		pairs = append(pairs, "$"+name, url)
	}
	for _, key := range []string{"old", "new", "former", "modest", "nobody"} {
		pairs = append(pairs, "$HASH("+key+")", hash(key))
	}
	return strings.NewReplacer(pairs...).Replace(text)
}

func start(t testing.TB, o mock.Options) *mock.Server {
	t.Helper()
	backend, err := mock.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { backend.Close() })
	return backend
}

// stage is where one scenario plays.
type stage struct {
	*house
	t       *testing.T
	client  *http.Client
	key     string    // of the scenario's own subscription
	another string    // of a second one
	began   time.Time // before the first call
	used    int       // tokens that answers have reported so far
	gates   int       // how many have been made
}

func (h *house) stage(t *testing.T, scenario int) *stage {
	for _, backend := range h.backends {
		backend.Reset()
	}
	transport := &http.Transport{DisableCompression: true, ExpectContinueTimeout: 5 * time.Second}
	t.Cleanup(transport.CloseIdleConnections)
	return &stage{
		house:   h,
		t:       t,
		client:  &http.Client{Transport: transport, Timeout: 20 * time.Second},
		key:     keyOf(2 * scenario),
		another: keyOf(2*scenario + 1),
		began:   time.Now(),
	}
}

// play plays the steps. Afterwards the host must have nothing to object to.
func (s *stage) play(steps []step) {
	s.t.Helper()
	at := 0
	defer func() {
		if s.t.Failed() {
			s.t.Logf("in step %d of %d", at, len(steps))
		}
	}()
	for _, step := range steps {
		at++
		step.play(s)
		if s.t.Failed() {
			return
		}
	}
	for _, v := range s.gateway.Violations() {
		s.t.Errorf("the module broke a rule of its host: %s", v)
	}
}

// arrival is a request at one of the backends.
type arrival struct {
	backend string
	mock.Request
}

// arrivals are the requests that backends have received, in order.
func (s *stage) arrivals() []arrival {
	var all []arrival
	for name, backend := range s.backends {
		for _, r := range backend.Requests() {
			all = append(all, arrival{name, r})
		}
	}
	slices.SortFunc(all, func(a, b arrival) int { return cmp.Compare(a.Order, b.Order) })
	return all
}

// received are the names of the backends of arrivals.
func (s *stage) received() []string {
	var names []string
	for _, a := range s.arrivals() {
		names = append(names, a.backend)
	}
	return names
}

// last is the request that reached a backend last.
func (s *stage) last() arrival {
	s.t.Helper()
	all := s.arrivals()
	if len(all) == 0 {
		s.t.Fatal("no backend has received a request")
	}
	return all[len(all)-1]
}

// await waits for what the backend must see.
func (s *stage) await(name string, what string, ok func([]mock.Request) bool) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 10*time.Second)
	defer cancel()
	if err := s.backends[name].Await(ctx, ok); err != nil {
		s.t.Fatalf("backend %s: %s: %v", name, what, err)
	}
}

// gate is a fresh gate of a backend, with the name that a fault holds at.
func (s *stage) gate(backend string) (name string, gate *mock.Gate) {
	s.gates++
	name = fmt.Sprintf("%s-%d", s.key, s.gates)
	gate = s.backends[backend].Gate(name)
	s.t.Cleanup(gate.Open) // a failed test must not hold the backend
	return name, gate
}

// refuse closes a backend's port, and accept opens it again.
func (s *stage) refuse(backend string) {
	s.t.Helper()
	if err := s.backends[backend].Refuse(); err != nil {
		s.t.Fatal(err)
	}
}

func (s *stage) accept(backend string) {
	s.t.Helper()
	if err := s.backends[backend].Accept(); err != nil {
		s.t.Fatal(err)
	}
}

// open sends a call and returns when its response has begun with a 200.
func (s *stage) open(c call) *http.Response {
	s.t.Helper()
	res, err := s.client.Do(c.request(s))
	if err != nil {
		s.t.Fatal(err)
	}
	if res.StatusCode != http.StatusOK {
		a, err := read(res)
		s.t.Fatalf("want a stream, %v\n%v", err, a)
	}
	return res
}

// dial opens a connection to the gateway.
func (s *stage) dial() net.Conn {
	s.t.Helper()
	conn, err := net.Dial("tcp", s.gateway.Addr)
	if err != nil {
		s.t.Fatal(err)
	}
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	return conn
}
