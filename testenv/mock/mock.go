// Package mock is a language model behind HTTP that needs no network: the
// OpenAI and the Azure OpenAI surface, JSON and event streams, with true token
// counts, the same answer to the same request every time, and any fault a test
// asks for.
//
//	GET  /v1/models
//	POST /v1/chat/completions, /v1/completions, /v1/embeddings
//	POST /openai/deployments/{deployment}/{operation}?api-version=…
//	POST /openai/v1/{operation}
//
// A [Server] is one backend. Tests start as many as a scenario needs.
package mock

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"time"
)

// Options say what a backend is. The zero value is a plain HTTP/1.1 backend on
// a free port that serves every model to everybody.
type Options struct {
	// Name tells backends apart in faults asked for by header and in the
	// response header x-mock-name. Default: mock.
	Name string

	// Addr is the address to listen on. Default: 127.0.0.1:0, a free port.
	Addr string

	// Host, where set, makes the backend speak TLS with a certificate for this
	// name, and HTTP/2 to whoever offers it.
	Host string

	// Authority signs the certificate. Default: one of the backend's own.
	Authority *Authority

	// Key, where set, is the only credential accepted: as api-key or bearer on
	// the Azure surface, as bearer on OpenAI's. Others are a 401.
	Key string

	// Models, where set, are the models and deployments that exist. Others are
	// a 404.
	Models []string

	// Cheap, where set, answers every chat request with the same bytes, made
	// once, and records nothing but the count: for load tests.
	Cheap *Cheap
}

// Server is one running backend. Its methods may be called from any goroutine.
type Server struct {
	options   Options
	addr      string
	authority *Authority
	tls       *tls.Config
	handler   http.Handler
	journal   journal
	ctx       context.Context
	cancel    context.CancelFunc

	mu       sync.Mutex
	http     *http.Server // nil while refusing
	listener net.Listener
	always   Fault
	next     []Fault
	gates    map[string]*Gate
}

// Start starts a backend. It returns once connections are accepted; the first
// one of a process takes about 0.3 s, in which the vocabulary is read.
func Start(o Options) (*Server, error) {
	if o.Name == "" {
		o.Name = "mock"
	}
	if o.Addr == "" {
		o.Addr = "127.0.0.1:0"
	}
	s := &Server{options: o, addr: o.Addr, gates: map[string]*Gate{}}
	s.journal.changed = make(chan struct{})
	s.ctx, s.cancel = context.WithCancel(context.Background())
	if err := loadVocabulary(); err != nil {
		return nil, err
	}
	s.handler = http.HandlerFunc(s.serve)
	if o.Cheap != nil {
		h, err := o.Cheap.handler(&s.journal)
		if err != nil {
			return nil, err
		}
		s.handler = h
	}
	if o.Host != "" {
		if err := s.certify(); err != nil {
			return nil, err
		}
	}
	if err := s.Accept(); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *Server) certify() error {
	s.authority = s.options.Authority
	if s.authority == nil {
		a, err := NewAuthority()
		if err != nil {
			return err
		}
		s.authority = a
	}
	cert, err := s.authority.issue(s.options.Host)
	if err != nil {
		return err
	}
	s.tls = &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	return nil
}

// URL is scheme and address: http://127.0.0.1:40123. With TLS it holds the
// address too, not the name on the certificate, which resolves nowhere.
func (s *Server) URL() string {
	if s.tls != nil {
		return "https://" + s.addr
	}
	return "http://" + s.addr
}

// Addr is host and port.
func (s *Server) Addr() string { return s.addr }

// CA is the certificate of the authority that signed the backend's, in PEM.
// Nil without TLS.
func (s *Server) CA() []byte {
	if s.authority == nil {
		return nil
	}
	return s.authority.PEM()
}

// Accept listens again after [Server.Refuse], on the same port.
func (s *Server) Accept() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.http != nil {
		return nil
	}
	l, err := net.Listen("tcp", s.addr)
	if err != nil {
		return fmt.Errorf("mock %s: %w", s.options.Name, err)
	}
	s.addr = l.Addr().String()
	h := &http.Server{
		Handler:           s.handler,
		TLSConfig:         s.tls.Clone(),
		ErrorLog:          log.New(io.Discard, "", 0),
		BaseContext:       func(net.Listener) context.Context { return s.ctx },
		ReadHeaderTimeout: time.Minute,
	}
	s.http, s.listener = h, l
	go func() {
		// Both return only once the server is closed, which is their error.
		if s.tls != nil {
			_ = h.ServeTLS(l, "", "")
		} else {
			_ = h.Serve(l)
		}
	}()
	return nil
}

// Refuse closes the listener and every connection: what follows is refused
// by the kernel until [Server.Accept].
func (s *Server) Refuse() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.http == nil {
		return nil
	}
	h := s.http
	s.http = nil
	// The server closes only a listener that it has begun to serve.
	for _, err := range []error{s.listener.Close(), h.Close()} {
		if err != nil && !errors.Is(err, net.ErrClosed) {
			return fmt.Errorf("mock %s: %w", s.options.Name, err)
		}
	}
	return nil
}

// Close stops the backend and cuts what is in flight, held requests included.
func (s *Server) Close() error {
	s.cancel()
	return s.Refuse()
}

// Always sets the fault of every request from here on. The zero Fault heals.
func (s *Server) Always(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.always = f
}

// Next sets the faults of the next requests, one each, the zero Fault being a
// sound answer. They come before Always.
func (s *Server) Next(f ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next = append(s.next, f...)
}

// Gate is the gate of that name. Faults hold requests at it; see [Fault.Hold].
func (s *Server) Gate(name string) *Gate {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.gates[name]
	if g == nil {
		g = newGate()
		s.gates[name] = g
	}
	return g
}

// faultOf is the fault of one request: what its header asks of this backend,
// else the next one queued, else the standing one.
func (s *Server) faultOf(r *http.Request) (Fault, error) {
	f, ok, err := faultFor(s.options.Name, r.Header.Values(FaultHeader))
	if ok || err != nil {
		return f, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.next) > 0 {
		f, s.next = s.next[0], s.next[1:]
		return f, nil
	}
	return s.always, nil
}

// Requests are the requests received so far, in the order of arrival.
func (s *Server) Requests() []Request { return s.journal.snapshot() }

// Count is the number of requests received so far.
func (s *Server) Count() int { return s.journal.count() }

// Reset forgets the requests received so far.
func (s *Server) Reset() { s.journal.reset() }

// Await returns once ok says yes to the requests received so far. It is asked
// again after every arrival and every end. The error is that of the context.
func (s *Server) Await(ctx context.Context, ok func([]Request) bool) error {
	return s.journal.await(ctx, ok)
}

// serve answers one request.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	end := s.journal.begin(r, body)
	if err != nil {
		end(Gone)
		return
	}
	w.Header().Set("x-mock-name", s.options.Name)
	at := place(r.URL)
	fault, err := s.faultOf(r)
	if err != nil {
		answer := at.refusal(http.StatusBadRequest, "mock_fault", err.Error())
		end(answer.send(w, r, Fault{}, s))
		return
	}
	answer := s.answer(at, r, body, fault)
	how := answer.send(w, r, fault, s)
	end(how)
	if how == Cut {
		// The documented way to make net/http drop the connection or reset the
		// HTTP/2 stream.
		panic(http.ErrAbortHandler)
	}
}

// answer is what the model, or the fault in its place, says.
func (s *Server) answer(at surface, r *http.Request, body []byte, f Fault) reply {
	if f.Status != 0 {
		return at.failure(f)
	}
	if !s.admits(at, r) {
		return at.refusal(http.StatusUnauthorized, "invalid_api_key", "Incorrect API key provided.")
	}
	if at.operation == models && r.Method == http.MethodGet {
		return list(s.options.Models)
	}
	if at.operation == "" || at.operation == models {
		return at.refusal(http.StatusNotFound, "unknown_url", "Invalid URL ("+r.Method+" "+r.URL.Path+")")
	}
	if r.Method != http.MethodPost {
		return at.refusal(http.StatusMethodNotAllowed, "method_not_supported", "Not allowed to "+r.Method+" on "+r.URL.Path+".")
	}
	if at.deployment != "" && r.URL.Query().Get("api-version") == "" {
		return at.refusal(http.StatusNotFound, "404", "Resource not found")
	}
	q, err := parse(at, body)
	if err != nil {
		return at.refusal(http.StatusBadRequest, "invalid_value", err.Error())
	}
	if !s.knows(q.Model) {
		return at.unknown(q.Model)
	}
	return at.speak(q, f)
}
