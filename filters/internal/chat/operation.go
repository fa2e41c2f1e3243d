// Package chat knows the surfaces that models are spoken to through, OpenAI's
// and Azure OpenAI's: their paths, requests, answers, streams and errors.
//
// Everything is read once and as its bytes arrive; see scanner.
package chat

import (
	"net/url"
	"strings"

	"github.com/tollgate/tollgate/filters/policy"
)

// Operation is what a request asks a model for.
type Operation uint8

// The operations. Unknown is any other.
const (
	Unknown Operation = iota
	ChatCompletions
	Completions
	Embeddings
)

var operations = [...]string{"unknown", "chat/completions", "completions", "embeddings"}

// String is the operation as paths end in it; "unknown" for Unknown.
func (o Operation) String() string { return operations[o] }

// Target is what a request's path says.
type Target struct {
	Operation Operation

	// Deployment is the name in an Azure deployment path, percent-decoded; empty
	// in every other path.
	Deployment string

	// APIVersion is the first api-version of the query, decoded; often empty.
	APIVersion string
}

// Recognise reads a :path, query included, of an API with this shape and prefix.
// ok is false if the path does not lie below the prefix. If it does but is not
// one of the shape's, the operation is Unknown.
//
// Nothing is normalised: a path with an empty, dotted or escaped segment more, or
// a slash at its end, is Unknown. Since a backend's path is always made anew, by
// BackendPath, no two readers of a path can disagree on it.
func Recognise(shape policy.Shape, prefix, path string) (t Target, ok bool) {
	path, query, _ := strings.Cut(path, "?")
	rest, ok := strings.CutPrefix(path, prefix)
	if !ok || rest != "" && rest[0] != '/' {
		return Target{}, false
	}
	t.APIVersion = parameter(query, "api-version")
	rest = strings.TrimPrefix(rest, "/")
	if shape == policy.Azure {
		if v1, ok := strings.CutPrefix(rest, "v1/"); ok {
			rest = v1
		} else if rest, t.Deployment, ok = deployment(rest); !ok {
			return t, true
		}
	}
	for o := ChatCompletions; o <= Embeddings; o++ {
		if rest == operations[o] {
			t.Operation = o
			return t, true
		}
	}
	t.Deployment = ""
	return t, true
}

// BackendPath is the :path of an operation at a backend. base is the path of the
// backend's URL: for openai and azure-v1 what stands before the operation, where
// "" and "/" mean /v1 and /openai/v1, for azure what stands before /openai.
// deployment and apiVersion matter to azure only.
func BackendPath(shape policy.Shape, base string, op Operation, deployment, apiVersion string) string {
	base = strings.TrimRight(base, "/")
	switch shape {
	case policy.Azure:
		return base + "/openai/deployments/" + url.PathEscape(deployment) + "/" + op.String() +
			"?api-version=" + url.QueryEscape(apiVersion)
	case policy.AzureV1:
		if base == "" {
			base = "/openai/v1"
		}
	default:
		if base == "" {
			base = "/v1"
		}
	}
	return base + "/" + op.String()
}

// deployment splits deployments/{deployment}/{rest}.
func deployment(path string) (rest, name string, ok bool) {
	path, ok = strings.CutPrefix(path, "deployments/")
	if !ok {
		return "", "", false
	}
	name, rest, _ = strings.Cut(path, "/")
	name, err := url.PathUnescape(name)
	if err != nil || name == "" || name == "." || name == ".." {
		return "", "", false
	}
	return rest, name, true
}

// parameter is the first value of a name in a query.
func parameter(query, name string) string {
	for query != "" {
		var pair string
		pair, query, _ = strings.Cut(query, "&")
		if key, value, _ := strings.Cut(pair, "="); key == name {
			value, err := url.QueryUnescape(value)
			if err != nil {
				return ""
			}
			return value
		}
	}
	return ""
}
