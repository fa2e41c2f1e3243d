package mock

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// FaultHeader asks for a fault in one request:
//
//	x-mock-fault: 429; retry-after=7
//	x-mock-fault: split=1+7; crlf
//	x-mock-fault: ptu: 503, payg: delay=20ms; every=5ms
//
// Each entry is for the backend of the name before its colon, or for every
// backend; the first that fits counts. The words are at the fields of [Fault].
const FaultHeader = "x-mock-fault"

// Fault is what a backend does other than answer at once, in full and well
// formed. Its zero value is no fault. Faults combine.
type Fault struct {
	// Status answers with this error, 400 to 599, in the surface's own form, or
	// with this redirect, 300 to 399, to another host. Word: the number, e.g. 429.
	Status int
	// RetryAfter is the header of that name, sent as it is written.
	// Word: retry-after=…
	RetryAfter string
	// RetryAfterMs is the header retry-after-ms. Word: retry-after-ms=…
	RetryAfterMs string

	// Delay passes before the answer begins. Word: delay=20ms
	Delay time.Duration
	// Every passes between two parts of the answer: events, or the pieces of
	// Split. Word: every=5ms
	Every time.Duration
	// Hold names the gate at which the request waits, see [Server.Gate].
	// Word: hold=name
	Hold string
	// HoldAfter moves that wait from before the response's headers to after
	// so many parts of the answer. Word: hold-after=3
	HoldAfter int

	// Reset drops the connection with RST before the response's headers.
	// Word: reset
	Reset bool
	// ResetAfter does so after so many events of a stream, or after the headers
	// and that many pieces of a Split answer. Word: reset-after=3
	ResetAfter int
	// Cut closes the connection after so many bytes of the body. Word: cut=100
	Cut int

	// Split sends the body in pieces of these sizes, over and over, each in a
	// write of its own. Word: split=1+7+3
	Split []int
	// Chunked leaves the length of a JSON answer out. Word: chunked
	Chunked bool
	// Length sends a stream with its length. Word: length
	Length bool
	// Gzip compresses the body where the request accepts that. Word: gzip
	Gzip bool
	// CRLF ends the lines of a stream with CR LF. Word: crlf
	CRLF bool
	// Comments puts a comment before every event of a stream. Word: comments
	Comments bool
	// Malformed breaks the JSON of the answer, or of the middle event of a
	// stream. Word: malformed
	Malformed bool

	// NoUsage leaves every usage out. Word: no-usage
	NoUsage bool
	// Usage says where it stands among the members of an answer or a chunk.
	// Default: last. Word: usage=first, usage=middle
	Usage Place
	// Obfuscation adds OpenAI's padding member to every chunk, after the usage.
	// Word: obfuscation
	Obfuscation bool

	// Tokens is the exact length of the answer, as far as max_tokens allows.
	// Word: tokens=200
	Tokens int
	// Bytes is the same in bytes, for huge answers: one token per five bytes.
	// Word: bytes=1000000
	Bytes int
}

// Place is a position among the members of a JSON object.
type Place string

// The places of a usage.
const (
	Last   Place = ""
	First  Place = "first"
	Middle Place = "middle"
)

// ParseFault reads the words of one entry, separated by semicolons.
func ParseFault(text string) (Fault, error) {
	var f Fault
	for word := range strings.SplitSeq(text, ";") {
		key, value, _ := strings.Cut(strings.TrimSpace(word), "=")
		if err := f.set(key, value); err != nil {
			return Fault{}, fmt.Errorf("fault %q: %w", strings.TrimSpace(word), err)
		}
	}
	return f, nil
}

func (f *Fault) set(key, value string) (err error) {
	switch key {
	case "":
	case "retry-after":
		f.RetryAfter = value
	case "retry-after-ms":
		f.RetryAfterMs = value
	case "delay":
		f.Delay, err = time.ParseDuration(value)
	case "every":
		f.Every, err = time.ParseDuration(value)
	case "hold":
		f.Hold = value
	case "hold-after":
		f.HoldAfter, err = positive(value)
	case "reset":
		f.Reset = true
	case "reset-after":
		f.ResetAfter, err = positive(value)
	case "cut":
		f.Cut, err = positive(value)
	case "split":
		f.Split, err = sizes(value)
	case "chunked":
		f.Chunked = true
	case "length":
		f.Length = true
	case "gzip":
		f.Gzip = true
	case "crlf":
		f.CRLF = true
	case "comments":
		f.Comments = true
	case "malformed":
		f.Malformed = true
	case "no-usage":
		f.NoUsage = true
	case "usage":
		f.Usage, err = placeOf(value)
	case "obfuscation":
		f.Obfuscation = true
	case "tokens":
		f.Tokens, err = positive(value)
	case "bytes":
		f.Bytes, err = positive(value)
	default:
		f.Status, err = strconv.Atoi(key)
		if err != nil || f.Status < 300 || f.Status > 599 {
			err = fmt.Errorf("want a status from 300 to 599 or a word of mock.Fault")
		}
	}
	return err
}

func positive(value string) (int, error) {
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("want a number above 0, got %q", value)
	}
	return n, nil
}

func sizes(value string) ([]int, error) {
	var out []int
	for part := range strings.SplitSeq(value, "+") {
		n, err := positive(part)
		if err != nil {
			return nil, err
		}
		out = append(out, n)
	}
	return out, nil
}

func placeOf(value string) (Place, error) {
	switch p := Place(value); p {
	case First, Middle:
		return p, nil
	case "last":
		return Last, nil
	}
	return Last, fmt.Errorf("want first, middle or last, got %q", value)
}

// faultFor is what the headers ask of the backend called name.
func faultFor(name string, headers []string) (Fault, bool, error) {
	for entry := range strings.SplitSeq(strings.Join(headers, ","), ",") {
		if strings.TrimSpace(entry) == "" {
			continue
		}
		to, words, named := strings.Cut(entry, ":")
		if !named {
			words = entry
		} else if strings.TrimSpace(to) != name {
			continue
		}
		f, err := ParseFault(words)
		return f, err == nil, err
	}
	return Fault{}, false, nil
}

// header are the headers a fault adds to its error.
func (f Fault) header() http.Header {
	h := http.Header{}
	if f.RetryAfter != "" {
		h.Set("Retry-After", f.RetryAfter)
	}
	if f.Status >= 300 && f.Status < 400 {
		h.Set("Location", "https://elsewhere.example/")
	}
	if f.RetryAfterMs != "" {
		h.Set("Retry-After-Ms", f.RetryAfterMs)
	}
	return h
}
