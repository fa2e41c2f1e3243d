package mock

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// operation is the last part of a path, after the surface's own.
type operation string

const (
	chat        operation = "chat/completions"
	completions operation = "completions"
	embeddings  operation = "embeddings"
	models      operation = "models"
)

// surface is what a path and its query say.
type surface struct {
	azure      bool      // the dialect of errors and answers
	operation  operation // empty: none that exists
	deployment string    // Azure's deployments only
	apiVersion string
}

func place(u *url.URL) surface {
	at := surface{apiVersion: u.Query().Get("api-version")}
	rest, openai := strings.CutPrefix(u.Path, "/v1/")
	if !openai {
		rest, at.azure = strings.CutPrefix(u.Path, "/openai/")
		if r, ok := strings.CutPrefix(rest, "deployments/"); ok && at.azure {
			at.deployment, rest, _ = strings.Cut(r, "/")
		} else {
			rest = strings.TrimPrefix(rest, "v1/")
		}
	}
	if op := operation(rest); (openai || at.azure) && slices.Contains([]operation{chat, completions, embeddings, models}, op) {
		at.operation = op
	}
	return at
}

// admits says whether the request proves who sent it.
func (s *Server) admits(at surface, r *http.Request) bool {
	if s.options.Key == "" {
		return true
	}
	header, value := credential(r.Header)
	return value == s.options.Key && (at.azure || header == "authorization")
}

// knows says whether there is such a model.
func (s *Server) knows(model string) bool {
	return s.options.Models == nil || slices.Contains(s.options.Models, model)
}

// list is the answer to GET models.
func list(names []string) reply {
	if names == nil {
		names = []string{"gpt-4o", "gpt-4o-mini", "text-embedding-3-small"}
	}
	data := make([]object, len(names))
	for i, name := range names {
		data[i] = object{{"id", name}, {"object", "model"}, {"created", 1715367049}, {"owned_by", "mock"}}
	}
	return whole(http.StatusOK, object{{"object", "list"}, {"data", data}})
}

// unknown refuses a model that does not exist.
func (at surface) unknown(model string) reply {
	if at.deployment != "" {
		return at.refusal(http.StatusNotFound, "DeploymentNotFound", "The API deployment for this resource does not exist. If you created the deployment within the last 5 minutes, please wait a moment and try again.")
	}
	return at.refusal(http.StatusNotFound, "model_not_found", fmt.Sprintf("The model `%s` does not exist or you do not have access to it.", model))
}

// failure is the error a fault asks for.
func (at surface) failure(f Fault) reply {
	out := at.refusal(f.Status, "server_error", "The server had an error while processing your request.")
	switch {
	case f.Status == http.StatusTooManyRequests:
		wait := f.RetryAfter
		if wait == "" {
			wait = "1"
		}
		message := "Rate limit reached for requests. Please try again in " + wait + "s."
		if at.azure {
			message = "Requests to the ChatCompletions_Create Operation under Azure OpenAI API version " + at.apiVersion + " have exceeded token rate limit of your current OpenAI S0 pricing tier. Please retry after " + wait + " seconds."
		}
		out = at.refusal(f.Status, "rate_limit_exceeded", message)
	case f.Status < 500:
		out = at.refusal(f.Status, "mock_fault", "The mock was asked to refuse.")
	}
	for k, v := range f.header() {
		out.header[k] = v
	}
	return out
}

// refusal is an error in the dialect of the surface. Azure's code for what has
// no name of its own is the status.
func (at surface) refusal(status int, code, message string) reply {
	if at.azure {
		if code == strings.ToLower(code) {
			code = strconv.Itoa(status)
		}
		return whole(status, object{{"error", object{{"code", code}, {"message", message}}}})
	}
	kind := "invalid_request_error"
	switch {
	case status == http.StatusTooManyRequests:
		kind = "tokens"
	case status >= 500:
		kind = "server_error"
	}
	return whole(status, object{{"error", object{
		{"message", message}, {"type", kind}, {"param", nil}, {"code", code},
	}}})
}
