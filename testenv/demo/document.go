package main

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
)

// backend is what stands behind the gateway.
type backend struct {
	name       string // for people
	mock       bool
	url        string
	shape      string
	deployment string // Azure's
	apiVersion string // Azure's
	env        string // the variable that holds its key; empty for the mock
}

// choose reads the environment: a real service where there is a key for it,
// OpenAI's first.
func choose(env func(string) string) (backend, error) {
	endpoint, key := env("AZURE_OPENAI_ENDPOINT"), env("AZURE_OPENAI_API_KEY")
	switch {
	case env("OPENAI_API_KEY") != "":
		return backend{name: "OpenAI", url: "https://api.openai.com", shape: "openai", env: "OPENAI_API_KEY"}, nil
	case endpoint != "" && key != "":
		return backend{
			name:       "Azure OpenAI",
			url:        strings.TrimRight(endpoint, "/"),
			shape:      "azure",
			deployment: cmp.Or(env("AZURE_OPENAI_DEPLOYMENT"), "gpt-4o"),
			apiVersion: "2024-10-21",
			env:        "AZURE_OPENAI_API_KEY",
		}, nil
	case endpoint != "" || key != "":
		return backend{}, errors.New("want both AZURE_OPENAI_ENDPOINT and AZURE_OPENAI_API_KEY, or neither")
	}
	return backend{name: "a mock LLM", mock: true, shape: "openai"}, nil
}

// local is the backend in the quickstart document that is replaced.
const local = `
    url: http://127.0.0.1:8082
    shape: openai
`

// header replaces the comment at the document's beginning.
const header = `# Written by make run at each start. An edit takes effect as it is saved; what
# tollgate check refuses changes nothing, and the reason is printed.
sidecar:
  listen: %s

`

// render is the quickstart document with another backend. The sidecar's address
// is written down because 8081 may be taken.
func render(quickstart, sidecar string, b backend) (string, error) {
	if strings.Count(quickstart, local) != 1 {
		return "", fmt.Errorf("the quickstart document has not exactly one backend with these lines:%s", local)
	}
	for strings.HasPrefix(quickstart, "#") {
		_, quickstart, _ = strings.Cut(quickstart, "\n")
	}
	return fmt.Sprintf(header, sidecar) + strings.Replace(quickstart, local, b.lines(), 1), nil
}

// lines are the members of the backend after its name.
func (b backend) lines() string {
	var s strings.Builder
	for _, m := range []struct{ name, value string }{
		{"url", b.url},
		{"shape", b.shape},
		{"deployment", b.deployment},
		{"apiVersion", b.apiVersion},
	} {
		if m.value != "" {
			fmt.Fprintf(&s, "\n    %s: %q", m.name, m.value)
		}
	}
	if b.env != "" {
		fmt.Fprintf(&s, "\n    credential: {env: %s}", b.env)
	}
	return s.String() + "\n"
}
