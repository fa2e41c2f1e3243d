// Command probe is the module that the tests of the strict host run. A request
// says in its header x-probe what each callback shall do, as words of the form
// callback=step,step; the module remembers what was called and answers /trace
// with it.
package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm"
	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm/types"
)

func main() {}

func init() {
	proxywasm.SetPluginContext(func(uint32) types.PluginContext { return &plugin{} })
}

// trace is what has happened in this VM since it was last asked for.
var trace []string

func note(format string, a ...any) { trace = append(trace, fmt.Sprintf(format, a...)) }

var hits proxywasm.MetricCounter

type plugin struct {
	types.DefaultPluginContext
	role string
}

func (p *plugin) OnPluginStart(int) types.OnPluginStartStatus {
	b, err := proxywasm.GetPluginConfiguration()
	if err != nil || strings.Contains(string(b), "refuse") {
		return false
	}
	p.role = "attempt"
	if strings.Contains(string(b), "gateway") {
		p.role = "gateway"
		if _, tag, tagged := strings.Cut(string(b), "tag "); tagged {
			p.role = "gateway" + tag
		}
		hits = proxywasm.DefineCounterMetric("hits")
		if strings.Contains(string(b), "ticks") {
			proxywasm.SetTickPeriodMilliSeconds(60_000)
		}
	}
	return true
}

// waiting is a stream that the next tick resumes.
var waiting uint32

func (p *plugin) OnTick() {
	note("tick")
	if waiting != 0 {
		proxywasm.SetEffectiveContext(waiting)
		proxywasm.ResumeHttpRequest()
		waiting = 0
	}
}

func (p *plugin) OnPluginDone() bool {
	note("%s: plugin done", p.role)
	return true
}

func (p *plugin) NewHttpContext(id uint32) types.HttpContext { return &stream{id: id, role: p.role} }

type stream struct {
	types.DefaultHttpContext
	id    uint32
	role  string
	steps map[string][]string
	quiet bool
}

func (s *stream) OnHttpRequestHeaders(n int, eos bool) types.Action {
	path, _ := proxywasm.GetHttpRequestHeader(":path")
	if path == "/trace" && s.role != "attempt" {
		s.quiet = true
		text := strings.Join(trace, "\n")
		trace = nil
		proxywasm.SendHttpResponse(200, nil, []byte(text+"\n"), -1)
		return types.ActionPause
	}
	probe, _ := proxywasm.GetHttpRequestHeader("x-probe")
	s.steps = map[string][]string{}
	for _, word := range strings.Fields(probe) {
		callback, steps, _ := strings.Cut(word, "=")
		s.steps[callback] = strings.Split(steps, ",")
	}
	return s.run("reqH", -1, eos)
}

func (s *stream) OnHttpRequestBody(n int, eos bool) types.Action     { return s.run("reqB", n, eos) }
func (s *stream) OnHttpResponseHeaders(n int, eos bool) types.Action { return s.run("respH", -1, eos) }
func (s *stream) OnHttpResponseBody(n int, eos bool) types.Action    { return s.run("respB", n, eos) }
func (s *stream) OnHttpStreamDone()                                  { s.run("done", -1, false) }

// run carries out the steps of a callback: those under its name and "eos", if
// the stream ends with it, else those under its name.
func (s *stream) run(callback string, n int, eos bool) types.Action {
	if s.quiet {
		return types.ActionContinue
	}
	line := s.role + ": " + callback
	if callback == "respH" {
		status, _ := proxywasm.GetHttpResponseHeader(":status")
		line += "(" + status + ")"
	}
	if n >= 0 {
		line += fmt.Sprintf("[%d]", n)
	}
	if eos {
		line += " eos"
	}
	note("%s", line)
	steps := s.steps[s.role[:1]+"."+callback]
	if end, some := s.steps[s.role[:1]+"."+callback+"$"]; some && eos {
		steps = end
	}
	action := types.ActionContinue
	for _, step := range steps {
		action = s.step(callback, step, n, action)
	}
	return action
}

func (s *stream) step(callback, step string, n int, action types.Action) types.Action {
	name, value, _ := strings.Cut(step, ":")
	var err error
	switch name {
	case "pause":
		return types.ActionPause
	case "go":
		return types.ActionContinue
	case "reply":
		status, body, _ := strings.Cut(value, ":")
		code, _ := strconv.Atoi(status)
		delete(s.steps, s.role[:1]+"."+callback) // it is called again for the reply
		err = proxywasm.SendHttpResponse(uint32(code), [][2]string{{"x-from", "module"}}, []byte(body), -1)
	case "set": // a header of the message that passes
		key, v, _ := strings.Cut(value, ":")
		if strings.HasPrefix(callback, "req") {
			err = proxywasm.ReplaceHttpRequestHeader(unescape(key), unescape(v))
		} else {
			err = proxywasm.ReplaceHttpResponseHeader(unescape(key), unescape(v))
		}
	case "setreq":
		key, v, _ := strings.Cut(value, ":")
		err = proxywasm.ReplaceHttpRequestHeader(unescape(key), unescape(v))
	case "get":
		var v string
		v, err = proxywasm.GetHttpRequestHeader(unescape(value))
		note("  %s = %s", unescape(value), v)
	case "getresp":
		var v string
		v, err = proxywasm.GetHttpResponseHeader(unescape(value))
		note("  %s = %s", unescape(value), v)
	case "is":
		key, want, _ := strings.Cut(value, ":")
		var v string
		v, err = proxywasm.GetHttpRequestHeader(key)
		note("  %s is %s: %v", key, want, v == want)
	case "names":
		var pairs [][2]string
		pairs, err = proxywasm.GetHttpRequestHeaders()
		var names []string
		for _, p := range pairs {
			names = append(names, p[0])
		}
		slices.Sort(names)
		note("  %s", strings.Join(names, " "))
	case "respnames":
		var pairs [][2]string
		pairs, err = proxywasm.GetHttpResponseHeaders()
		var names []string
		for _, p := range pairs {
			names = append(names, p[0])
		}
		slices.Sort(names)
		note("  %s", strings.Join(names, " "))
	case "del":
		if strings.HasPrefix(callback, "req") {
			err = proxywasm.RemoveHttpRequestHeader(unescape(value))
		} else {
			err = proxywasm.RemoveHttpResponseHeader(unescape(value))
		}
	case "body":
		var b []byte
		if strings.HasPrefix(callback, "req") {
			b, err = proxywasm.GetHttpRequestBody(0, 1<<20)
		} else {
			b, err = proxywasm.GetHttpResponseBody(0, 1<<20)
		}
		note("  body %q", clip(b))
	case "setbody":
		if strings.HasPrefix(callback, "req") {
			err = proxywasm.ReplaceHttpRequestBody([]byte(value))
		} else {
			err = proxywasm.ReplaceHttpResponseBody([]byte(value))
		}
	case "splice": // start:length:insert, on the request
		parts := strings.SplitN(value, ":", 3)
		start, _ := strconv.Atoi(parts[0])
		length, _ := strconv.Atoi(parts[1])
		note("  splice %d", splice(start, length, parts[2]))
	case "grow": // to so many bytes
		size, _ := strconv.Atoi(value)
		err = proxywasm.ReplaceHttpRequestBody(make([]byte, size))
	case "to": // a backend, at once
		if err = proxywasm.SetProperty([]string{"to"}, []byte(value)); err == nil {
			_, err = proxywasm.CallForeignFunction("clear_route_cache", nil)
		}
	case "prop":
		key, v, _ := strings.Cut(value, ":")
		err = proxywasm.SetProperty([]string{key}, []byte(v))
	case "getprop":
		var v []byte
		v, err = proxywasm.GetProperty(strings.Split(value, "/"))
		note("  %s = %q", value, v)
	case "shared": // key:value:cas
		parts := strings.SplitN(value, ":", 3)
		cas, _ := strconv.ParseUint(parts[2], 0, 32)
		err = proxywasm.SetSharedData(parts[0], []byte(parts[1]), uint32(cas))
	case "getshared":
		var v []byte
		var cas uint32
		v, cas, err = proxywasm.GetSharedData(value)
		note("  %s = %q %d", value, v, cas)
	case "count": // until the compare-and-swap succeeds
		count(value)
	case "metric":
		by, _ := strconv.Atoi(value)
		hits.Increment(uint64(by))
	case "foreign":
		_, err = proxywasm.CallForeignFunction(value, nil)
	case "wait":
		waiting = s.id
	case "resume":
		err = proxywasm.ResumeHttpRequest()
	case "close":
		kind, _ := strconv.Atoi(value)
		note("  close %d", closeStream(kind))
	case "call":
		_, err = proxywasm.DispatchHttpCall(value, [][2]string{{":path", "/"}, {":method", "GET"}, {":authority", "x"}}, nil, nil, 100, func(int, int, int) {})
	case "queue":
		_, err = proxywasm.RegisterSharedQueue(value)
	case "pairs":
		size, _ := strconv.Atoi(value)
		err = proxywasm.ReplaceHttpRequestHeaders(make([][2]string, size))
	case "sleep":
		time.Sleep(time.Millisecond)
	case "panic":
		panic("asked for")
	case "log":
		proxywasm.LogInfo(value)
	}
	if err != nil {
		note("  %s: %v", step, err)
	}
	return action
}

func count(key string) {
	for {
		v, cas, err := proxywasm.GetSharedData(key)
		n := 0
		if err != nil {
			cas = 0xffffffff
		} else {
			n, _ = strconv.Atoi(string(v))
		}
		if proxywasm.SetSharedData(key, []byte(strconv.Itoa(n+1)), cas) == nil {
			return
		}
	}
}

// unescape turns . into : at the front, since steps are split at colons.
func unescape(name string) string {
	if strings.HasPrefix(name, ".") {
		return ":" + name[1:]
	}
	return name
}

func clip(b []byte) string {
	if len(b) > 60 {
		return fmt.Sprintf("%s… %d bytes", b[:20], len(b))
	}
	return string(b)
}
