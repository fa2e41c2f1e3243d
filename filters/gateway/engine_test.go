package gateway

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/tollgate/tollgate/filters/internal/chat"
	"github.com/tollgate/tollgate/filters/internal/pool"
	"github.com/tollgate/tollgate/filters/policy"
)

const document = `
apis:
  - {name: openai, shape: openai, prefix: /v1}
  - {name: team, shape: openai, prefix: /v1/team}
  - {name: azure, shape: azure, prefix: /openai}
backends:
  - {name: ptu, url: "https://ptu.example:8443", shape: azure, deployment: big, apiVersion: "2024-10-21"}
  - {name: v1, url: "https://v1.example", shape: azure-v1}
  - {name: own, url: "http://own.example/base/", deployment: llama}
pools:
  - {name: all, members: [{backend: ptu, priority: 1}, {backend: v1, priority: 2}, {backend: own, priority: 3}]}
models:
  - {name: gpt-4o, pool: all, aliases: [gpt-4o-2024-08-06]}
`

func engineOf(t *testing.T, source string) *engine {
	t.Helper()
	doc, err := policy.Parse("tollgate.yaml", []byte(source))
	if err != nil {
		t.Fatal(err)
	}
	e, err := newEngine(doc, "", 0)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestRecognise(t *testing.T) {
	e := engineOf(t, document)
	for _, c := range []struct {
		path, api  string
		op         chat.Operation
		deployment string
	}{
		{"/v1/chat/completions", "openai", chat.ChatCompletions, ""},
		{"/v1/team/embeddings", "team", chat.Embeddings, ""}, // the longest prefix
		{"/openai/deployments/d/completions?api-version=1", "azure", chat.Completions, "d"},
		{"/openai/v1/chat/completions", "azure", chat.ChatCompletions, ""},
		{"/v1/models", "", chat.Unknown, ""},
		{"/", "", chat.Unknown, ""},
	} {
		t.Run(c.path, func(t *testing.T) {
			api, target, ok := e.recognise(c.path)
			if ok != (c.api != "") {
				t.Fatalf("recognised: %v", ok)
			}
			if ok && (api.Name != c.api || target.Operation != c.op || target.Deployment != c.deployment) {
				t.Errorf("%s %+v, want %s %v %q", api.Name, target, c.api, c.op, c.deployment)
			}
		})
	}
}

func TestPlan(t *testing.T) {
	e := engineOf(t, document)
	const path = "/openai/deployments/big/chat/completions?api-version=2024-10-21"
	for _, c := range []struct {
		name, asked string
		want        []pool.Try
	}{
		{"the model's own name", "gpt-4o", []pool.Try{
			{Backend: "ptu", Authority: "ptu.example:8443", Path: path},
			{Backend: "v1", Authority: "v1.example", Path: "/openai/v1/chat/completions"},
			{Backend: "own", Authority: "own.example", Path: "/base/chat/completions", Model: `"llama"`},
		}},
		{"an alias", "gpt-4o-2024-08-06", []pool.Try{
			{Backend: "ptu", Authority: "ptu.example:8443", Path: path},
			{Backend: "v1", Authority: "v1.example", Path: "/openai/v1/chat/completions", Model: `"gpt-4o"`},
			{Backend: "own", Authority: "own.example", Path: "/base/chat/completions", Model: `"llama"`},
		}},
		{"a body without a model", "", []pool.Try{
			{Backend: "ptu", Authority: "ptu.example:8443", Path: path},
			{Backend: "v1", Authority: "v1.example", Path: "/openai/v1/chat/completions", Model: `"model":"gpt-4o",`},
			{Backend: "own", Authority: "own.example", Path: "/base/chat/completions", Model: `"model":"llama",`},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := e.plan(e.models["gpt-4o"], chat.ChatCompletions, c.asked, rand.IntN); !slices.Equal(got, c.want) {
				t.Errorf("tries\n%+v, want\n%+v", got, c.want)
			}
		})
	}
}

func TestRate(t *testing.T) {
	l := tokenLimit{TokenLimit: policy.TokenLimit{TokensPerMinute: policy.Rate{Header: "x-rate", Default: 1000, Min: 10, Max: 5000}}}
	for asked, want := range map[string]struct {
		rate    int64
		clamped bool
	}{
		"":                      {1000, false},
		"plenty":                {1000, false},
		"1.5":                   {1000, false},
		"2000":                  {2000, false},
		" 2000 ":                {2000, false},
		"10":                    {10, false},
		"9":                     {10, true},
		"-5":                    {10, true},
		"5001":                  {5000, true},
		"99999999999999999999":  {5000, true},
		"-99999999999999999999": {10, true},
	} {
		t.Run(asked, func(t *testing.T) {
			rate, clamped := l.rate(func(string) string { return asked })
			if rate != want.rate || clamped != want.clamped {
				t.Errorf("%d, clamped %v; want %d, %v", rate, clamped, want.rate, want.clamped)
			}
		})
	}
	fixed := tokenLimit{TokenLimit: policy.TokenLimit{TokensPerMinute: policy.Rate{Default: 7}}}
	if rate, clamped := fixed.rate(func(string) string { return "9" }); rate != 7 || clamped {
		t.Errorf("a fixed rate is %d, clamped %v", rate, clamped)
	}
}
