package chat

import (
	"strconv"
	"time"
	"unicode/utf8"
)

// Error is a refusal as a client sees it. Its words name limits, models and
// waits, never anything inside the gateway.
type Error struct {
	// Status is the HTTP status.
	Status int

	// Type and Code are OpenAI's where it has one for the case.
	Type, Code string

	// Param is the field of the request that is at fault, or empty.
	Param string

	// Message is for a person.
	Message string
}

// Body is the JSON that the client's SDK parses: OpenAI's
// {"error":{"message","type","param","code"}}, with null for an empty param or
// code, or Azure's {"error":{"code","message"}}.
func (e Error) Body(azure bool) []byte {
	b := make([]byte, 0, len(e.Message)+128)
	if azure {
		code := strconv.Itoa(e.Status)
		if e.Code == modelNotFound {
			code = "DeploymentNotFound"
		}
		b = quote(append(b, `{"error":{"code":`...), code)
		b = quote(append(b, `,"message":`...), e.Message)
		return append(b, `}}`...)
	}
	b = quote(append(b, `{"error":{"message":`...), e.Message)
	b = quote(append(b, `,"type":`...), e.Type)
	b = quoteOrNull(append(b, `,"param":`...), e.Param)
	b = quoteOrNull(append(b, `,"code":`...), e.Code)
	return append(b, `}}`...)
}

const (
	invalidRequest = "invalid_request_error"
	serverError    = "server_error"
	modelNotFound  = "model_not_found"
)

// Unauthorized is a missing or unknown key.
func Unauthorized() Error {
	return Error{401, invalidRequest, "invalid_api_key", "", "Incorrect API key provided, or none."}
}

// Disabled is a key whose subscription is switched off.
func Disabled() Error {
	return Error{403, invalidRequest, "key_disabled", "", "This API key is disabled."}
}

// NotEntitled is a model that the caller's product does not include.
func NotEntitled(model string) Error {
	return Error{403, invalidRequest, "model_not_allowed", "model",
		"This API key may not use the model '" + name(model) + "'."}
}

// UnknownModel is a model or deployment that there is not.
func UnknownModel(model string) Error {
	return Error{404, invalidRequest, modelNotFound, "model",
		"The model '" + name(model) + "' does not exist."}
}

// UnknownPath is a path that is no operation of an API.
func UnknownPath() Error {
	return Error{404, invalidRequest, "unknown_url", "", "Unknown request URL."}
}

// TooLarge is a body of more than max bytes.
func TooLarge(max int64) Error {
	return Error{413, invalidRequest, "request_too_large", "",
		"The request body is larger than " + strconv.FormatInt(max, 10) + " bytes."}
}

// Bad is a body that cannot be read.
func Bad(err *BadRequest) Error {
	return Error{400, invalidRequest, "", err.Field, err.Error()}
}

// RateLimited is a token limit that has no room for wait.
func RateLimited(limit string, wait time.Duration) Error {
	return Error{429, "tokens", "rate_limit_exceeded", "",
		"Rate limit reached for tokens per minute, limit '" + name(limit) + "'." + again(wait)}
}

// NeverFits is a request that is larger than all of a token limit, so that no
// wait helps.
func NeverFits(limit string, needed, most int64) Error {
	return Error{429, "tokens", "rate_limit_exceeded", "",
		"Request too large for tokens per minute, limit '" + name(limit) + "': limit " +
			strconv.FormatInt(most, 10) + ", requested " + strconv.FormatInt(needed, 10) +
			". The input or output tokens must be reduced."}
}

// NoBackend is a model none of whose backends could answer. wait is the smallest
// that one of them asks for; zero is not known.
func NoBackend(wait time.Duration) Error {
	e := Error{503, serverError, "service_unavailable", "", "The model is currently not available."}
	if wait > 0 {
		e.Message += again(wait)
	}
	return e
}

// Internal is a fault of the gateway.
func Internal() Error {
	return Error{500, serverError, "internal_error", "", "The gateway could not handle the request."}
}

// Seconds is a wait as Retry-After says it: whole seconds, rounded up, at least 1.
func Seconds(wait time.Duration) int64 {
	return max(1, int64((wait+time.Second-1)/time.Second))
}

func again(wait time.Duration) string {
	return " Please try again in " + strconv.FormatInt(Seconds(wait), 10) + "s."
}

// name bounds what a client, or a document, may put into a message.
func name(s string) string {
	const most = 64
	if len(s) <= most {
		return s
	}
	end := most
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + "…"
}

func quoteOrNull(b []byte, s string) []byte {
	if s == "" {
		return append(b, "null"...)
	}
	return quote(b, s)
}

// quote appends s as a JSON string. What is not UTF-8 becomes U+FFFD.
func quote(b []byte, s string) []byte {
	const digits = "0123456789abcdef"
	b = append(b, '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r < 0x20:
			b = append(b, '\\', 'u', '0', '0', digits[r>>4], digits[r&15])
		default:
			b = utf8.AppendRune(b, r)
		}
	}
	return append(b, '"')
}
