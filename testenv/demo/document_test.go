package main

import (
	"os"
	"strings"
	"testing"
)

func TestRender(t *testing.T) {
	source, err := os.ReadFile("../../" + quickstart)
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		env  map[string]string
		want string // the backend
	}{
		"nothing set": {nil, `
    url: "http://127.0.0.1:1234"
    shape: "openai"
`},
		"openai": {map[string]string{"OPENAI_API_KEY": "sk-1", "AZURE_OPENAI_ENDPOINT": "x"}, `
    url: "https://api.openai.com"
    shape: "openai"
    credential: {env: OPENAI_API_KEY}
`},
		"azure": {map[string]string{"AZURE_OPENAI_ENDPOINT": "https://c.openai.azure.com/", "AZURE_OPENAI_API_KEY": "k"}, `
    url: "https://c.openai.azure.com"
    shape: "azure"
    deployment: "gpt-4o"
    apiVersion: "2024-10-21"
    credential: {env: AZURE_OPENAI_API_KEY}
`},
		"azure's own deployment": {map[string]string{"AZURE_OPENAI_ENDPOINT": "https://c", "AZURE_OPENAI_API_KEY": "k", "AZURE_OPENAI_DEPLOYMENT": "mine"}, `
    deployment: "mine"
`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			b, err := choose(func(name string) string { return tt.env[name] })
			if err != nil {
				t.Fatal(err)
			}
			if b.mock {
				b.url = "http://127.0.0.1:1234"
			}
			text, err := render(string(source), "127.0.0.1:8081", b)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(text, tt.want) || strings.Contains(text, "8082") || strings.Count(text, "sidecar:") != 1 {
				t.Errorf("want the backend %s\nin\n%s", tt.want, text)
			}
			for name, value := range tt.env {
				if strings.HasSuffix(name, "_KEY") && strings.Contains(text, `"`+value+`"`) {
					t.Errorf("the document holds %s", name)
				}
			}
		})
	}
}

func TestHalfAnAzure(t *testing.T) {
	_, err := choose(func(name string) string { return map[string]string{"AZURE_OPENAI_ENDPOINT": "https://c"}[name] })
	if err == nil || err.Error() != "want both AZURE_OPENAI_ENDPOINT and AZURE_OPENAI_API_KEY, or neither" {
		t.Errorf("got %v", err)
	}
}

func TestAnotherQuickstart(t *testing.T) {
	_, err := render("backends: []\n", "127.0.0.1:8081", backend{})
	if err == nil || err.Error() != "the quickstart document has not exactly one backend with these lines:"+local {
		t.Errorf("got %v", err)
	}
}

func TestHints(t *testing.T) {
	var s strings.Builder
	hints(&s, "127.0.0.1:8080", backend{name: "a mock LLM"})
	const curl = `curl -i 'http://127.0.0.1:8080/v1/chat/completions' -H 'api-key: demo-key' -H 'content-type: application/json' -d '{"model":"gpt-4o","messages":[{"role":"user","content":"What is the answer?"}]}'`
	if !strings.Contains(s.String(), "\n  "+curl+"\n") {
		t.Errorf("no line %s\nin\n%s", curl, s.String())
	}
}
