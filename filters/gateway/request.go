package gateway

import (
	"errors"
	"math/rand/v2"
	"strconv"

	"github.com/tollgate/tollgate/filters/internal/caller"
	"github.com/tollgate/tollgate/filters/internal/chat"
	"github.com/tollgate/tollgate/filters/internal/host"
	"github.com/tollgate/tollgate/filters/internal/pool"
	"github.com/tollgate/tollgate/filters/internal/tokens"
	"github.com/tollgate/tollgate/filters/policy"
)

// stream is one request of a client. Its callbacks are spread over this file
// (until it is released to a backend) and answer.go (from its answer on).
type stream struct {
	*plugin

	headers host.Headers
	api     *policy.API // nil until recognised
	target  chat.Target
	caller  caller.Caller

	body     *chat.Body // until it has been read
	prompt   tokens.Fast
	read     int  // bytes of the body read so far
	released bool // to a backend

	hideUsage bool // usage was forced onto a stream whose client did not ask
	account   account
	answer    answer
}

var (
	wrongMethod = chat.Error{Status: 405, Type: "invalid_request_error", Code: "method_not_allowed",
		Message: "Only POST is allowed here."}
	compressed = chat.Error{Status: 415, Type: "invalid_request_error", Code: "unsupported_encoding", Param: "content-encoding",
		Message: "The request body must not be compressed."}
)

// RequestHeaders decides what headers alone can decide.
func (s *stream) RequestHeaders(end bool) host.Action {
	s.headers = host.RequestHeaders()
	var ok bool
	if s.api, s.target, ok = s.engine.recognise(s.headers.Get(":path")); !ok {
		return s.refuse(chat.UnknownPath())
	}
	if s.headers.Get(":method") != "POST" {
		return s.refuse(wrongMethod, [2]string{"allow", "POST"})
	}
	if refused := s.identify(); refused != nil {
		return s.refuse(*refused)
	}
	if encoding := s.headers.Get("content-encoding"); encoding != "" && encoding != "identity" {
		return s.refuse(compressed)
	}
	if length, err := strconv.ParseUint(s.headers.Get("content-length"), 10, 64); err == nil && length > uint64(s.engine.maxBody) {
		return s.refuse(chat.TooLarge(int64(s.engine.maxBody)))
	}
	s.body = s.plugin.body(s.target.Operation, &s.prompt)
	if end {
		return s.decide()
	}
	return host.Pause
}

// identify finds out who calls, or why they may not.
func (s *stream) identify() *chat.Error {
	var outcome caller.Outcome
	var refused chat.Error
	switch s.caller, outcome = s.engine.callers.Find(s.key()); outcome {
	case caller.Missing, caller.Unknown:
		refused = chat.Unauthorized()
	case caller.Disabled:
		refused = chat.Disabled()
	default:
		return nil
	}
	return &refused
}

// key is the client's, wherever its SDK puts it.
func (s *stream) key() string {
	if key := s.headers.Get("api-key"); key != "" {
		return key
	}
	if key := s.headers.Get("ocp-apim-subscription-key"); key != "" {
		return key
	}
	return caller.Bearer(s.headers.Get("authorization"))
}

// RequestBody reads each chunk as it arrives, so that no other stream of the
// worker waits for a large prompt.
func (s *stream) RequestBody(size int, end bool) host.Action {
	if s.released {
		return host.Continue
	}
	if size > s.engine.maxBody {
		return s.refuse(chat.TooLarge(int64(s.engine.maxBody)))
	}
	if err := s.body.Write(host.RequestBody(s.read, size-s.read)); err != nil {
		return s.refuseBody(err)
	}
	s.read = size
	if !end {
		return host.Pause
	}
	return s.decide()
}

func (s *stream) RequestTrailers() host.Action {
	if s.released {
		return host.Continue
	}
	return s.decide()
}

// decide takes a request whose body is complete through the remaining policies,
// cheap before dear and refusals before side effects.
func (s *stream) decide() host.Action {
	request, err := s.body.Close()
	s.keep(s.body)
	s.body = nil
	if err != nil {
		return s.refuseBody(err)
	}
	if s.plugin != latest { // which may have withdrawn the key
		s.plugin = latest
		if refused := s.identify(); refused != nil {
			return s.refuse(*refused)
		}
	}
	asked := request.Model
	if s.target.Deployment != "" {
		asked = s.target.Deployment
	}
	if asked == "" {
		return s.refuse(chat.Bad(&chat.BadRequest{Field: "model", Message: "missing"}))
	}
	m := s.engine.models[asked]
	if m == nil {
		return s.refuse(chat.UnknownModel(asked))
	}
	if !s.caller.May(m.name) {
		return s.refuse(chat.NotEntitled(asked))
	}
	if full, verdict := s.reserve(m); full != nil {
		return s.refuseLimit(full, verdict)
	}
	return s.release(m, &request)
}

// release hands the request to the backends of its model.
func (s *stream) release(m *model, request *chat.Request) host.Action {
	length, span := s.read, request.ModelSpan
	if request.Model == "" {
		span = request.Front()
	}
	if splice, ok := request.ForceUsage(head); ok {
		host.SpliceRequestBody(splice.Drop, splice.Insert)
		length += len(splice.Insert) - splice.Drop
		span = splice.Move(span)
		s.hideUsage = true
	}
	plan := pool.Plan{
		Length: length, Start: span.Start, End: span.End,
		Tries: s.engine.plan(m, s.target.Operation, request.Model, rand.IntN),
	}
	host.SetProperty(pool.BackendState, plan.Tries[0].Backend)
	host.SetProperty(pool.PlanState, string(plan.Append(make([]byte, 0, 256))))
	host.SetRequestHeader("x-envoy-max-retries", strconv.Itoa(len(plan.Tries)-1))
	host.SetRequestHeader("x-envoy-upstream-rq-per-try-timeout-ms", m.timeout)
	host.SetRequestHeader("content-length", strconv.Itoa(length))
	s.released = true
	return host.Continue
}

func head(n int) []byte { return host.RequestBody(0, n) }

// facts are what selectors pick from.
func (s *stream) facts(m *model) *caller.Facts {
	f := &caller.Facts{
		Caller: s.caller, API: s.api.Name, Model: m.name,
		Path: s.headers.Get(":path"), Header: s.headers.Get, Source: host.SourceAddress,
	}
	if s.target.Deployment != "" { // an alias in the path is no bucket of its own
		f.Deployment = m.name
	}
	return f
}

// refuse answers the client in the dialect of its surface.
func (s *stream) refuse(e chat.Error, headers ...[2]string) host.Action {
	azure := s.api != nil && s.api.Shape == policy.Azure
	headers = append(headers, [2]string{"content-type", "application/json"})
	host.Reply(e.Status, headers, e.Body(azure))
	return host.Replied
}

func (s *stream) refuseBody(err error) host.Action {
	var bad *chat.BadRequest
	if !errors.As(err, &bad) {
		bad = &chat.BadRequest{Message: "unreadable"}
	}
	return s.refuse(chat.Bad(bad))
}
