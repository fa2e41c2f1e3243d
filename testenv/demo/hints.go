package main

import (
	"fmt"
	"io"
	"strings"
)

// hints says what to try.
func hints(w io.Writer, addr string, b backend) {
	const body = `{"model":"gpt-4o","messages":[{"role":"user","content":"What is the answer?"}]}`
	curl := func(options, path, body string) string {
		return fmt.Sprintf(`curl %s 'http://%s%s' -H 'api-key: demo-key' -H 'content-type: application/json' -d '%s'`, options, addr, path, body)
	}
	const openai = "/v1/chat/completions"
	stream := strings.TrimSuffix(body, "}") + `,"stream":true}`
	statuses := curl(`-s -o /dev/null -w '%{http_code} ' -H 'X-Tokens-Per-Minute: 100'`, openai, body)
	_, _ = fmt.Fprintf(w, `
Tollgate listens on http://%s, in front of %s. Ctrl-C stops everything.

A request; see consumed-tokens and remaining-tokens in the answer:

  %s

As Azure OpenAI:

  %s

As a stream:

  %s

The limit is 1000 tokens a minute. Ask for 100, and soon it is 429 with retry-after
(-i shows it); what is used up is used up for the other requests too:

  for i in 1 2 3 4 5 6; do %s; done; echo

The document is %s. Change its limit and save: it is in force at once.

`,
		addr, b.name,
		curl("-i", openai, body),
		curl("-i", "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21", body),
		curl("-N", openai, stream),
		statuses,
		document,
	)
}
