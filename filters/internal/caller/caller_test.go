package caller

import (
	"crypto/sha256"
	"encoding/hex"
	"testing"

	"github.com/tollgate/tollgate/filters/policy"
)

func hashed(key string) policy.Key {
	sum := sha256.Sum256([]byte(key))
	return policy.Key{SHA256: hex.EncodeToString(sum[:])}
}

func document(anonymous string) *policy.Document {
	return &policy.Document{
		Products: []policy.Product{{Name: "gold"}, {Name: "bronze", Models: []string{"gpt-4o-mini"}}},
		Subscriptions: []policy.Subscription{
			{Name: "team-a", Product: "gold", Keys: []policy.Key{hashed("a-old"), hashed("a-new")}},
			{Name: "team-b", Product: "bronze", Keys: []policy.Key{hashed("b")}},
			{Name: "gone", Keys: []policy.Key{hashed("c")}, Disabled: true},
			{Name: "guests"},
		},
		Identity: policy.Identity{Anonymous: anonymous},
	}
}

// directory is that of the document as the filter loads it.
func directory(t *testing.T, doc *policy.Document) *Directory {
	t.Helper()
	compiled, err := doc.Compile()
	if err != nil {
		t.Fatal(err)
	}
	loaded, register, err := policy.Load(string(compiled))
	if err != nil {
		t.Fatal(err)
	}
	return New(loaded, register)
}

func TestFind(t *testing.T) {
	for _, c := range []struct {
		name, anonymous, key string
		subscription         string
		outcome              Outcome
	}{
		{"a key", "refuse", "a-old", "team-a", Known},
		{"the second key of a rotation", "refuse", "a-new", "team-a", Known},
		{"a wrong key", "refuse", "a-ol", "", Unknown},
		{"a wrong key where anonymous callers may", "guests", "nobody's", "", Unknown},
		{"no key", "refuse", "", "", Missing},
		{"no key where anonymous callers may", "guests", "", "guests", Known},
		{"no key where the anonymous subscription is disabled", "gone", "", "", Disabled},
		{"a disabled key", "refuse", "c", "", Disabled},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := directory(t, document(c.anonymous))
			got, outcome := d.Find(c.key)
			if outcome != c.outcome || got.Subscription != c.subscription {
				t.Errorf("found %q, %d; want %q, %d", got.Subscription, outcome, c.subscription, c.outcome)
			}
		})
	}
}

func TestMay(t *testing.T) {
	d := directory(t, document("refuse"))
	for _, c := range []struct {
		key, model string
		want       bool
	}{
		{"a-new", "gpt-4o", true},
		{"b", "gpt-4o", false},
		{"b", "gpt-4o-mini", true},
	} {
		caller, _ := d.Find(c.key)
		if got := caller.May(c.model); got != c.want {
			t.Errorf("%s may use %s: %v, want %v", caller.Subscription, c.model, got, c.want)
		}
	}
}

func TestBearer(t *testing.T) {
	for authorization, want := range map[string]string{
		"Bearer abc":   "abc",
		"bearer  abc ": "abc",
		"BEARER abc":   "abc",
		"Basic abc":    "",
		"Bearerabc":    "",
		"Bearer ":      "",
		"":             "",
	} {
		if got := Bearer(authorization); got != want {
			t.Errorf("bearer of %q is %q, want %q", authorization, got, want)
		}
	}
}

func TestSelectors(t *testing.T) {
	headers := map[string]string{"x-team": "red"}
	facts := &Facts{
		Caller: Caller{Subscription: "team-a", Product: "gold"},
		API:    "azure", Model: "gpt-4o", Deployment: "prod",
		Path:   "/openai/deployments/prod/chat/completions?api-version=2024-10-21&user=a%20b&bad=%zz",
		Header: func(name string) string { return headers[name] },
		Source: func() string { return "10.1.2.3:4567" },
	}
	for _, c := range []struct {
		selector policy.Selector
		want     string
	}{
		{"subscription", "team-a"},
		{"product", "gold"},
		{"source.ip", "10.1.2.3"},
		{"header:X-Team", "red"},
		{"header:x-other", "-"},
		{"query:user", "a b"},
		{"query:none", "-"},
		{"model", "gpt-4o"},
		{"deployment", "prod"},
		{"api", "azure"},
	} {
		t.Run(string(c.selector), func(t *testing.T) {
			compiled, err := Compile([]policy.Selector{c.selector})
			if err != nil {
				t.Fatal(err)
			}
			if got := compiled[0].Value(facts); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
	t.Run("unknown", func(t *testing.T) {
		_, err := Compile([]policy.Selector{"colour"})
		if want := `selector "colour": unknown`; err == nil || err.Error() != want {
			t.Errorf("error %v, want %s", err, want)
		}
	})
}

func TestSourceWithoutPort(t *testing.T) {
	for address, want := range map[string]string{
		"10.0.0.1:80": "10.0.0.1",
		"[::1]:8080":  "::1",
		"socket":      "socket",
	} {
		if got := withoutPort(address); got != want {
			t.Errorf("%q without its port is %q, want %q", address, got, want)
		}
	}
}
