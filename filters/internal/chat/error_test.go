package chat

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func TestErrors(t *testing.T) {
	for _, c := range []struct {
		name          string
		err           Error
		status        int
		openai, azure string
	}{
		{
			"unauthorized", Unauthorized(), 401,
			`{"error":{"message":"Incorrect API key provided, or none.","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}`,
			`{"error":{"code":"401","message":"Incorrect API key provided, or none."}}`,
		},
		{
			"disabled", Disabled(), 403,
			`{"error":{"message":"This API key is disabled.","type":"invalid_request_error","param":null,"code":"key_disabled"}}`,
			`{"error":{"code":"403","message":"This API key is disabled."}}`,
		},
		{
			"not entitled", NotEntitled("gpt-4o"), 403,
			`{"error":{"message":"This API key may not use the model 'gpt-4o'.","type":"invalid_request_error","param":"model","code":"model_not_allowed"}}`,
			`{"error":{"code":"403","message":"This API key may not use the model 'gpt-4o'."}}`,
		},
		{
			"unknown model", UnknownModel("a\"\\\n\x00é\xff"), 404,
			`{"error":{"message":"The model 'a\"\\\u000a\u0000é�' does not exist.","type":"invalid_request_error","param":"model","code":"model_not_found"}}`,
			`{"error":{"code":"DeploymentNotFound","message":"The model 'a\"\\\u000a\u0000é�' does not exist."}}`,
		},
		{
			"unknown path", UnknownPath(), 404,
			`{"error":{"message":"Unknown request URL.","type":"invalid_request_error","param":null,"code":"unknown_url"}}`,
			`{"error":{"code":"404","message":"Unknown request URL."}}`,
		},
		{
			"too large", TooLarge(8 << 20), 413,
			`{"error":{"message":"The request body is larger than 8388608 bytes.","type":"invalid_request_error","param":null,"code":"request_too_large"}}`,
			`{"error":{"code":"413","message":"The request body is larger than 8388608 bytes."}}`,
		},
		{
			"bad field", Bad(&BadRequest{Field: "messages[1].role", Message: "missing"}), 400,
			`{"error":{"message":"messages[1].role: missing","type":"invalid_request_error","param":"messages[1].role","code":null}}`,
			`{"error":{"code":"400","message":"messages[1].role: missing"}}`,
		},
		{
			"bad body", Bad(&BadRequest{Message: "want an object, got nothing"}), 400,
			`{"error":{"message":"body: want an object, got nothing","type":"invalid_request_error","param":null,"code":null}}`,
			`{"error":{"code":"400","message":"body: want an object, got nothing"}}`,
		},
		{
			"rate limited", RateLimited("per-caller", 11200*time.Millisecond), 429,
			`{"error":{"message":"Rate limit reached for tokens per minute, limit 'per-caller'. Please try again in 12s.","type":"tokens","param":null,"code":"rate_limit_exceeded"}}`,
			`{"error":{"code":"429","message":"Rate limit reached for tokens per minute, limit 'per-caller'. Please try again in 12s."}}`,
		},
		{
			"never fits", NeverFits("per-caller", 1200, 1000), 429,
			`{"error":{"message":"Request too large for tokens per minute, limit 'per-caller': limit 1000, requested 1200. The input or output tokens must be reduced.","type":"tokens","param":null,"code":"rate_limit_exceeded"}}`,
			`{"error":{"code":"429","message":"Request too large for tokens per minute, limit 'per-caller': limit 1000, requested 1200. The input or output tokens must be reduced."}}`,
		},
		{
			"no backend, wait known", NoBackend(time.Minute), 503,
			`{"error":{"message":"The model is currently not available. Please try again in 60s.","type":"server_error","param":null,"code":"service_unavailable"}}`,
			`{"error":{"code":"503","message":"The model is currently not available. Please try again in 60s."}}`,
		},
		{
			"no backend", NoBackend(0), 503,
			`{"error":{"message":"The model is currently not available.","type":"server_error","param":null,"code":"service_unavailable"}}`,
			`{"error":{"code":"503","message":"The model is currently not available."}}`,
		},
		{
			"internal", Internal(), 500,
			`{"error":{"message":"The gateway could not handle the request.","type":"server_error","param":null,"code":"internal_error"}}`,
			`{"error":{"code":"500","message":"The gateway could not handle the request."}}`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.err.Status != c.status {
				t.Errorf("status %d, want %d", c.err.Status, c.status)
			}
			for azure, want := range map[bool]string{false: c.openai, true: c.azure} {
				got := c.err.Body(azure)
				if string(got) != want {
					t.Errorf("azure %v:\n got %s\nwant %s", azure, got, want)
				}
				if !json.Valid(got) {
					t.Errorf("azure %v: %s is not JSON", azure, got)
				}
			}
		})
	}
}

// A name from a client does not make an answer long.
func TestErrorsBoundNames(t *testing.T) {
	got := UnknownModel(strings.Repeat("漢", 1000)).Message
	if want := "The model '" + strings.Repeat("漢", 21) + "…' does not exist."; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestSeconds(t *testing.T) {
	for _, c := range []struct {
		wait time.Duration
		want int64
	}{{0, 1}, {-time.Second, 1}, {1, 1}, {time.Second, 1}, {time.Second + 1, 2}, {59*time.Second + time.Millisecond, 60}} {
		if got := Seconds(c.wait); got != c.want {
			t.Errorf("%v: got %d, want %d", c.wait, got, c.want)
		}
	}
}
