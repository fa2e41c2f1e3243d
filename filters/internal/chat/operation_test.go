package chat

import (
	"testing"

	"github.com/tollgate/tollgate/filters/policy"
)

func TestRecognise(t *testing.T) {
	outside := Target{}
	for _, c := range []struct {
		name   string
		shape  policy.Shape
		prefix string
		path   string
		want   Target
		ok     bool
	}{
		{"chat", policy.OpenAI, "/v1", "/v1/chat/completions", Target{Operation: ChatCompletions}, true},
		{"completions", policy.OpenAI, "/v1", "/v1/completions", Target{Operation: Completions}, true},
		{"embeddings", policy.OpenAI, "/v1", "/v1/embeddings", Target{Operation: Embeddings}, true},
		{"longer prefix", policy.OpenAI, "/team/a/v1", "/team/a/v1/chat/completions", Target{Operation: ChatCompletions}, true},
		{"query", policy.OpenAI, "/v1", "/v1/chat/completions?api-version=2024-10-21&x=1", Target{Operation: ChatCompletions, APIVersion: "2024-10-21"}, true},
		{"empty query", policy.OpenAI, "/v1", "/v1/chat/completions?", Target{Operation: ChatCompletions}, true},

		{"another operation", policy.OpenAI, "/v1", "/v1/models", Target{}, true},
		{"prefix alone", policy.OpenAI, "/v1", "/v1", Target{}, true},
		{"prefix and slash", policy.OpenAI, "/v1", "/v1/", Target{}, true},
		{"trailing slash", policy.OpenAI, "/v1", "/v1/chat/completions/", Target{}, true},
		{"doubled slash", policy.OpenAI, "/v1", "/v1//chat/completions", Target{}, true},
		{"doubled slash inside", policy.OpenAI, "/v1", "/v1/chat//completions", Target{}, true},
		{"dot segment", policy.OpenAI, "/v1", "/v1/./chat/completions", Target{}, true},
		{"way out", policy.OpenAI, "/v1", "/v1/../chat/completions", Target{}, true},
		{"way round", policy.OpenAI, "/v1", "/v1/models/../chat/completions", Target{}, true},
		{"escaped slash", policy.OpenAI, "/v1", "/v1/chat%2Fcompletions", Target{}, true},
		{"escaped letter", policy.OpenAI, "/v1", "/v1/%63hat/completions", Target{}, true},
		{"another case", policy.OpenAI, "/v1", "/v1/Chat/completions", Target{}, true},
		{"operation in the query", policy.OpenAI, "/v1", "/v1?/chat/completions", Target{}, true},
		{"deployment path of another shape", policy.OpenAI, "/v1", "/v1/deployments/d/chat/completions", Target{}, true},

		{"other prefix", policy.OpenAI, "/v1", "/v2/chat/completions", outside, false},
		{"prefix of a segment", policy.OpenAI, "/v1", "/v1x/chat/completions", outside, false},
		{"prefix in another case", policy.OpenAI, "/v1", "/V1/chat/completions", outside, false},
		{"doubled slash in front", policy.OpenAI, "/v1", "//v1/chat/completions", outside, false},
		{"root", policy.OpenAI, "/v1", "/", outside, false},
		{"nothing", policy.OpenAI, "/v1", "", outside, false},
		{"asterisk", policy.OpenAI, "/v1", "*", outside, false},

		{"azure chat", policy.Azure, "/openai", "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21", Target{ChatCompletions, "gpt-4o", "2024-10-21"}, true},
		{"azure completions", policy.Azure, "/openai", "/openai/deployments/d/completions", Target{Completions, "d", ""}, true},
		{"azure embeddings", policy.Azure, "/openai", "/openai/deployments/d/embeddings?x=1&api-version=v", Target{Embeddings, "d", "v"}, true},
		{"azure v1", policy.Azure, "/openai", "/openai/v1/chat/completions?api-version=preview", Target{ChatCompletions, "", "preview"}, true},
		{"escaped deployment", policy.Azure, "/openai", "/openai/deployments/my%20model%2Fa/chat/completions", Target{ChatCompletions, "my model/a", ""}, true},
		{"plus is no space in a path", policy.Azure, "/openai", "/openai/deployments/a+b/embeddings", Target{Embeddings, "a+b", ""}, true},
		{"escaped version", policy.Azure, "/openai", "/openai/deployments/d/embeddings?api-version=2024%2D10", Target{Embeddings, "d", "2024-10"}, true},
		{"first version counts", policy.Azure, "/openai", "/openai/deployments/d/embeddings?api-version=a&api-version=b", Target{Embeddings, "d", "a"}, true},
		{"broken version", policy.Azure, "/openai", "/openai/deployments/d/embeddings?api-version=%zz", Target{Embeddings, "d", ""}, true},

		{"azure without deployment", policy.Azure, "/openai", "/openai/chat/completions", Target{}, true},
		{"empty deployment", policy.Azure, "/openai", "/openai/deployments//chat/completions", Target{}, true},
		{"dotted deployment", policy.Azure, "/openai", "/openai/deployments/%2e%2e/chat/completions", Target{}, true},
		{"broken escape", policy.Azure, "/openai", "/openai/deployments/%zz/chat/completions", Target{}, true},
		{"deployment alone", policy.Azure, "/openai", "/openai/deployments/d", Target{}, true},
		{"deployment and v1", policy.Azure, "/openai", "/openai/deployments/d/v1/chat/completions", Target{}, true},
		{"another azure operation", policy.Azure, "/openai", "/openai/deployments/d/audio/speech?api-version=v", Target{APIVersion: "v"}, true},
		{"azure trailing slash", policy.Azure, "/openai", "/openai/deployments/d/chat/completions/", Target{}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got, ok := Recognise(c.shape, c.prefix, c.path); got != c.want || ok != c.ok {
				t.Errorf("%s: got %+v, %v, want %+v, %v", c.path, got, ok, c.want, c.ok)
			}
		})
	}
}

func TestBackendPath(t *testing.T) {
	for _, c := range []struct {
		name                string
		shape               policy.Shape
		base                string
		op                  Operation
		deployment, version string
		want                string
	}{
		{"openai", policy.OpenAI, "", ChatCompletions, "", "", "/v1/chat/completions"},
		{"openai, slash", policy.OpenAI, "/", Completions, "", "", "/v1/completions"},
		{"openai, v1", policy.OpenAI, "/v1", Embeddings, "", "", "/v1/embeddings"},
		{"openai, v1 and slash", policy.OpenAI, "/v1/", Embeddings, "", "", "/v1/embeddings"},
		{"openai, another base", policy.OpenAI, "/api/v3", ChatCompletions, "d", "v", "/api/v3/chat/completions"},
		{"azure", policy.Azure, "", ChatCompletions, "gpt-4o", "2024-10-21", "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21"},
		{"azure, slash", policy.Azure, "/", Completions, "d", "v", "/openai/deployments/d/completions?api-version=v"},
		{"azure, base", policy.Azure, "/proxy", Embeddings, "d", "v", "/proxy/openai/deployments/d/embeddings?api-version=v"},
		{"azure, names to escape", policy.Azure, "", Embeddings, "a/b ?#%", "x&y=z", "/openai/deployments/a%2Fb%20%3F%23%25/embeddings?api-version=x%26y%3Dz"},
		{"azure-v1", policy.AzureV1, "", ChatCompletions, "d", "v", "/openai/v1/chat/completions"},
		{"azure-v1, base", policy.AzureV1, "/openai/v1/", Embeddings, "", "", "/openai/v1/embeddings"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := BackendPath(c.shape, c.base, c.op, c.deployment, c.version); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

// A client's Azure path and the path made from what was recognised are one.
func FuzzRecognise(f *testing.F) {
	f.Add("/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21")
	f.Add("/openai/v1/embeddings")
	f.Fuzz(func(t *testing.T, path string) {
		got, ok := Recognise(policy.Azure, "/openai", path)
		if !ok && got != (Target{}) || got.Operation == Unknown && got.Deployment != "" {
			t.Fatalf("%q: %+v, %v", path, got, ok)
		}
		if got.Deployment == "" {
			return
		}
		made := BackendPath(policy.Azure, "", got.Operation, got.Deployment, got.APIVersion)
		if again, ok := Recognise(policy.Azure, "/openai", made); again != got || !ok {
			t.Fatalf("%q is %+v, but %q is %+v", path, got, made, again)
		}
	})
}
