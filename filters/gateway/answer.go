package gateway

import (
	"strconv"
	"strings"
	"time"

	"github.com/tollgate/tollgate/filters/internal/chat"
	"github.com/tollgate/tollgate/filters/internal/host"
	"github.com/tollgate/tollgate/filters/internal/pool"
	"github.com/tollgate/tollgate/filters/internal/tokens"
)

// maxHeld is the largest JSON answer, in bytes, that is held back so that its
// headers carry the settled figures. A larger one goes out with the estimate.
const maxHeld = 256 << 10

// answer is what is known of a backend's answer.
type answer struct {
	kind   kind
	stream *chat.Stream // of kind streamed
	large  *chat.Answer // of kind passing
	text   tokens.Fast  // what was delivered, for when no usage is reported
	size   int          // bytes held so far
}

type kind uint8

const (
	none     kind = iota // nothing has come
	failed               // an error, which costs nothing
	held                 // JSON, until it is complete
	passing              // JSON that has grown too large to hold
	streamed             // an event stream
	opaque               // a body that cannot be read for usage
)

// timedOut puts Envoy's answer to a body that trickles in into the client's
// dialect.
var timedOut = chat.Error{Status: 408, Type: "invalid_request_error", Code: "request_timeout",
	Message: "The request body did not arrive in time."}

// ResponseHeaders sorts the answer. The headers of one that is held are written
// at its end.
func (s *stream) ResponseHeaders(end bool) host.Action {
	headers := host.ResponseHeaders()
	status, _ := strconv.Atoi(headers.Get(":status"))
	switch {
	case !s.released && status == timedOut.Status:
		return s.refuse(timedOut)
	case !s.released: // another filter's answer
		return host.Continue
	case pool.Retriable(status), status/100 == 3:
		// A redirect would take the client, its prompt and its key past the gateway.
		return s.exhausted()
	}
	if status/100 != 2 {
		s.answer.kind = failed
		s.settle(0)
		s.writeHeaders()
		return host.Continue
	}
	media := headers.Get("content-type")
	switch encoding := headers.Get("content-encoding"); {
	case encoding != "" && encoding != "identity":
		s.answer.kind = opaque
	case strings.HasPrefix(media, "text/event-stream"):
		s.answer.kind = streamed
		s.answer.stream = chat.NewStream(s.hideUsage, s.answer.text.Text)
		if s.hideUsage {
			host.RemoveResponseHeader("content-length")
		}
	case !strings.HasPrefix(media, "application/json"):
		s.pass()
	default:
		if length, err := strconv.Atoi(headers.Get("content-length")); err == nil && length > maxHeld {
			s.pass()
			break
		}
		s.answer.kind = held
		if end {
			return s.letGo(0, true)
		}
		return host.Pause
	}
	if end {
		s.finish()
	}
	s.writeHeaders()
	return host.Continue
}

// exhausted answers for a pool of which no backend could: 503 with the smallest
// wait that one of them asked for.
func (s *stream) exhausted() host.Action {
	s.answer.kind = failed
	s.settle(0)
	wait := int64(0)
	for o := range pool.Trail(host.Property(pool.TriesState)).Outcomes {
		if o.Wait > 0 && (wait == 0 || o.Wait < wait) {
			wait = o.Wait
		}
	}
	after := time.Duration(wait) * time.Millisecond
	return s.refuse(chat.NoBackend(after), retryAfter(after)...)
}

func (s *stream) ResponseBody(size int, end bool) host.Action {
	switch s.answer.kind {
	case held:
		if s.answer.size = size; size <= maxHeld && !end {
			return host.Pause
		}
		return s.letGo(size, end)
	case passing:
		s.answer.large.Write(host.ResponseBody(0, size))
	case streamed:
		chunk := host.ResponseBody(0, size)
		if out := s.answer.stream.Write(chunk, end); !same(out, chunk) {
			host.ReplaceResponseBody(out)
		}
	}
	if end {
		s.finish()
	}
	return host.Continue
}

// letGo releases an answer that was held: complete, with the settled figures, or
// grown too large, with the estimate.
func (s *stream) letGo(size int, end bool) host.Action {
	body := host.ResponseBody(0, size)
	if !end {
		s.pass()
		s.answer.large.Write(body)
	} else if usage, ok := chat.ReadUsage(body); ok {
		s.settle(usage.Total)
	} else {
		chat.NewAnswer(s.answer.text.Text).Write(body)
		s.settleBy(usage, false)
	}
	s.writeHeaders()
	return host.Continue
}

// pass reads a large answer as it passes.
func (s *stream) pass() {
	s.answer.kind = passing
	s.answer.large = chat.NewAnswer(s.answer.text.Text)
}

func (s *stream) ResponseTrailers() host.Action {
	switch s.answer.kind {
	case none:
	case held:
		return s.letGo(s.answer.size, true)
	default:
		s.finish()
	}
	return host.Continue
}

// finish settles an answer that was passed on to its end.
func (s *stream) finish() {
	switch s.answer.kind {
	case passing:
		s.settleBy(s.answer.large.Usage())
	case streamed:
		s.answer.stream.Write(nil, true) // an event that has no end is read too
		usage, reported := s.answer.stream.Usage()
		if reported && !s.answer.stream.Done() { // it may have gone on since
			usage.Total = max(usage.Total, s.counted())
		}
		s.settleBy(usage, reported)
	case opaque:
		s.settleBy(chat.Usage{}, false)
	}
}

// settleBy settles by what the backend reports, or else by what was counted.
func (s *stream) settleBy(usage chat.Usage, reported bool) {
	if reported {
		s.settle(usage.Total)
		return
	}
	s.settle(s.counted())
}

// counted is the tokens of the prompt and of what was delivered, as estimated.
func (s *stream) counted() int64 { return s.prompt.Tokens() + s.answer.text.Tokens() }

// Done settles whatever end has not: a client that left, a backend that broke
// off. What was sent is charged as counted; what never left costs nothing.
func (s *stream) Done() {
	if !s.released {
		s.settle(0)
	}
	if s.account.open {
		s.finish()
		s.settleBy(chat.Usage{}, false)
	}
}

// same reports whether two slices are the same bytes in the same place.
func same(a, b []byte) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}
