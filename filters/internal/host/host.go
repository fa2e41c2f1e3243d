// Package host is the border between Tollgate and proxy-wasm: the only package
// that imports the SDK. It hides what a filter must never get wrong: a panic
// that would take down the VM with every request of the worker, callbacks after
// a local reply of our own, and host calls that cost more than they look.
//
// Whatever returns bytes costs about a microsecond, since Envoy calls back into
// the VM for memory; whatever only takes bytes costs a fifth of it. So headers
// are read once and all together, and state travels in one property.
package host

import (
	"encoding/json"
	"fmt"

	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm"
	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm/types"
)

// Action is what a callback wants done with what it has seen.
type Action = types.Action

const (
	// Continue passes headers or body on.
	Continue = types.ActionContinue
	// Pause holds headers while body callbacks go on arriving, or buffers the
	// body: the next callback sees all of it. It needs
	// allow_on_headers_stop_iteration in the plugin's configuration.
	Pause = types.ActionPause
)

// Plugin is one configuration of the module in force on one worker.
type Plugin interface {
	// Stream makes the state of one HTTP stream: of a client's request in the
	// listener's chain, of one try in a cluster's.
	Stream() Stream
}

// NewPlugin reads a configuration. An error refuses it: Envoy keeps the
// configuration before it, or does not start.
type NewPlugin func(configuration json.RawMessage) (Plugin, error)

// Stream is the callbacks of one HTTP stream, in the order in which they come.
// Trailers come in the place of the last body callback's end. After a reply of
// our own none but Done comes.
type Stream interface {
	RequestHeaders(end bool) Action
	// RequestBody sees the size of what is buffered, this chunk included.
	RequestBody(size int, end bool) Action
	RequestTrailers() Action
	ResponseHeaders(end bool) Action
	ResponseBody(size int, end bool) Action
	ResponseTrailers() Action
	// Done comes exactly once, however the stream ended, and never in a
	// cluster's chain.
	Done()
}

// Register makes the module's roles known to Envoy. The configuration of a
// plugin is a JSON object whose member "role" picks one; the whole object is
// handed on.
func Register(roles map[string]NewPlugin) {
	proxywasm.SetPluginContext(func(uint32) types.PluginContext { return &plugin{roles: roles} })
}

type plugin struct {
	types.DefaultPluginContext
	roles  map[string]NewPlugin
	plugin Plugin
}

func (p *plugin) OnPluginStart(int) (status types.OnPluginStartStatus) {
	defer func() {
		if r := recover(); r != nil {
			Complain(fmt.Sprintf("configuration: panic: %v", r))
			status = types.OnPluginStartStatusFailed
		}
	}()
	if err := p.start(); err != nil {
		Complain("configuration: " + err.Error())
		return types.OnPluginStartStatusFailed
	}
	return types.OnPluginStartStatusOK
}

func (p *plugin) start() error {
	configuration, err := proxywasm.GetPluginConfiguration()
	if err != nil {
		return fmt.Errorf("reading it: %w", err)
	}
	role := roleOf(configuration)
	start, ok := p.roles[role]
	if !ok {
		return fmt.Errorf("role: want gateway or attempt, got %q", role)
	}
	p.plugin, err = start(configuration)
	return err
}

func (p *plugin) NewHttpContext(uint32) types.HttpContext {
	return &stream{stream: p.plugin.Stream()}
}

// stream guards a Stream: a panic is recovered, counted and answered with a 500
// as long as that is possible; afterwards the stream passes untouched. Done is
// always called.
type stream struct {
	types.DefaultHttpContext
	stream  Stream
	broken  bool // a callback panicked
	replied bool // an answer of our own is on its way
}

func (s *stream) OnHttpRequestHeaders(_ int, end bool) (action Action) {
	if s.broken {
		return Continue
	}
	defer s.recovered(&action, true)
	return s.acted(s.stream.RequestHeaders(end))
}

func (s *stream) OnHttpRequestBody(size int, end bool) (action Action) {
	if s.broken || s.replied {
		return Continue
	}
	defer s.recovered(&action, true)
	return s.acted(s.stream.RequestBody(size, end))
}

func (s *stream) OnHttpRequestTrailers(int) (action Action) {
	if s.broken || s.replied {
		return Continue
	}
	defer s.recovered(&action, true)
	return s.acted(s.stream.RequestTrailers())
}

func (s *stream) OnHttpResponseHeaders(_ int, end bool) (action Action) {
	if s.broken || s.replied {
		return Continue
	}
	defer s.recovered(&action, true)
	return s.acted(s.stream.ResponseHeaders(end))
}

func (s *stream) OnHttpResponseBody(size int, end bool) (action Action) {
	if s.broken || s.replied {
		return Continue
	}
	defer s.recovered(&action, false)
	return s.acted(s.stream.ResponseBody(size, end))
}

func (s *stream) OnHttpResponseTrailers(int) (action Action) {
	if s.broken || s.replied {
		return Continue
	}
	defer s.recovered(&action, false)
	return s.acted(s.stream.ResponseTrailers())
}

func (s *stream) OnHttpStreamDone() {
	var ignored Action
	defer s.recovered(&ignored, false)
	s.stream.Done()
}

// Replied is what a callback returns once it has called Reply.
const Replied Action = 1 << 31

func (s *stream) acted(action Action) Action {
	if action == Replied {
		s.replied = true
		return Pause
	}
	return action
}

// recovered ends a panic here: Envoy would close the VM for it, and with it
// every request on this worker.
func (s *stream) recovered(action *Action, answer bool) {
	r := recover()
	if r == nil {
		return
	}
	s.broken = true
	*action = Continue
	defer func() { _ = recover() }() // of a host that refuses even this
	Panics.Add(1)
	Complain(fmt.Sprintf("panic: %v", r))
	if answer {
		// Understood by clients of either dialect.
		body := []byte(`{"error":{"message":"internal error of the gateway","type":"server_error","param":null,"code":"internal_error"}}`)
		Reply(500, [][2]string{{"content-type", "application/json"}}, body)
		*action = Pause
	}
}
