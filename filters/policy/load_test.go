package policy

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// large has 10,000 subscriptions and 300 backends.
func large() *Document {
	drain := Duration(30 * time.Second)
	d := &Document{
		Gateway:  Gateway{Listen: "127.0.0.1:8080", MaxBody: 8 << 20, Drain: &drain},
		Sidecar:  Sidecar{Listen: "127.0.0.1:8081"},
		APIs:     []API{{Name: "openai", Shape: OpenAI, Prefix: "/v1"}},
		Products: []Product{{Name: "gold"}},
		Identity: Identity{Anonymous: Refuse},
		Limits: Limits{Tokens: []TokenLimit{{
			Name: "per-caller", Key: []Selector{"subscription"}, TokensPerMinute: Rate{Default: 1000, Min: 1}, Estimate: Fast,
			Headers: LimitHeaders{Consumed: "consumed-tokens", Remaining: "remaining-tokens"},
		}}},
	}
	for i := range 10_000 {
		d.Subscriptions = append(d.Subscriptions, Subscription{
			Name: fmt.Sprintf("caller-%05d", i), Product: "gold", Keys: []Key{{SHA256: fmt.Sprintf("%063xf", i)}},
		})
	}
	for i := range 300 {
		backend, model := fmt.Sprintf("backend-%03d", i), fmt.Sprintf("model-%03d", i)
		d.Backends = append(d.Backends, Backend{Name: backend, URL: "https://" + backend + ".example.com", Shape: OpenAI})
		d.Pools = append(d.Pools, Pool{
			Name: model, Strategy: Priority, Members: []Member{{Backend: backend, Priority: 1, Weight: 1}},
			Retry: Retry{Attempts: 3, Timeout: Duration(10 * time.Minute)},
		})
		d.Models = append(d.Models, Model{Name: model, Pool: model})
	}
	return d
}

func TestLoadRefusesWhatCompileDidNotWrite(t *testing.T) {
	for _, c := range []struct{ name, src, want string }{
		{"nothing", "", "EOF"},
		{"truncated", `{"subscriptions":[{"name":"a"`, "unexpected EOF"},
		{"truncated after the subscriptions", `{"subscriptions":[{"name":"a"}],`, "unexpected EOF"},
		{"two values", `{} {}`, "more than one value"},
		{"two values after the subscriptions", `{"subscriptions":[{"name":"a"}],"models":[]}{}`, "more than one value"},
		{"list", `[]`, "json: cannot unmarshal array into Go value of type policy.Document"},
		{"unknown section", `{"quotas":{}}`, `json: unknown field "quotas"`},
		{"unknown key", `{"models":[{"nam":"m"}]}`, `json: unknown field "nam"`},
		{"unknown key of a rate", `{"limits":{"tokens":[{"tokensPerMinute":{"burst":1}}]}}`, `json: unknown field "burst"`},
		{"unknown key of a subscription", `{"subscriptions":[{"name":"a","scope":"b"}],"models":[]}`, `json: unknown field "scope"`},
		{"unknown key of a key", `{"subscriptions":[{"name":"a","keys":[{"md5":"b"}]}],"models":[]}`, `json: unknown field "md5"`},
		{"number for a name", `{"subscriptions":[{"name":1}]}`, "json: cannot unmarshal number into Go struct field Subscription.subscriptions.name of type string"},
		{"size", `{"gateway":{"maxBody":"8MB"}}`, "want a number of bytes, or one with KiB, MiB or GiB such as 8MiB"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := Load([]byte(c.src)); err == nil || err.Error() != "compiled document: "+c.want {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

// Every way Compile can write a subscription is the fast one, and reads the same
// as the slow one.
func TestSubscriptionsAreCut(t *testing.T) {
	d := large()
	d.Subscriptions = []Subscription{
		{Name: "bare"},
		{Name: "former", Product: "gold", Keys: []Key{{"00"}, {"01"}}, Disabled: true},
		{Name: "off", Disabled: true},
		{Name: "one", Keys: []Key{{"02"}}},
	}
	compiled, err := d.Compile()
	if err != nil {
		t.Fatal(err)
	}
	cut, rest, ok := cutSubscriptions(string(compiled))
	if !ok || strings.Contains(rest, "subscriptions") {
		t.Fatalf("not cut: %s", compiled)
	}
	var slow Document
	if err := json.Unmarshal(compiled, &slow); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(slow.Subscriptions, cut); diff != "" {
		t.Errorf("(-slow +cut):\n%s", diff)
	}
}

// Another order, white space and escapes load as well.
func TestLoadOfOtherSpellings(t *testing.T) {
	want := []Subscription{{Name: "a", Product: "g", Keys: []Key{{"00"}}}}
	for _, src := range []string{
		`{"subscriptions":[{"name":"a","product":"g","keys":[{"sha256":"00"}]}],"models":[]}`,
		`{"models":[],"subscriptions":[{"name":"a","product":"g","keys":[{"sha256":"00"}]}]}`,
		`{"subscriptions":[{"product":"g","name":"a","keys":[{"sha256":"00"}]}],"models":[]}`,
		`{"subscriptions": [{"name": "a", "product": "g", "keys": [{"sha256": "00"}]}]}`,
		`{"subscriptions":[{"name":"\u0061","product":"g","keys":[{"sha256":"00"}]}],"models":[]}`,
	} {
		d, err := Load([]byte(src))
		if err != nil {
			t.Errorf("%s: %v", src, err)
		} else if diff := cmp.Diff(want, d.Subscriptions); diff != "" {
			t.Errorf("%s (-want +got):\n%s", src, diff)
		}
	}
}

func TestLoadRefusesEveryTruncation(t *testing.T) {
	d := large()
	d.Subscriptions, d.Backends, d.Pools, d.Models = d.Subscriptions[:2], d.Backends[:1], d.Pools[:1], d.Models[:1]
	compiled, err := d.Compile()
	if err != nil {
		t.Fatal(err)
	}
	for n := range compiled {
		if _, err := Load(compiled[:n]); err == nil {
			t.Fatalf("accepted %s", compiled[:n])
		}
	}
}

// Keys of one subscription are cut off from the next one's, whatever a reader
// appends.
func TestLoadedKeysAreSeparate(t *testing.T) {
	d, err := Load([]byte(`{"subscriptions":[{"name":"a","keys":[{"sha256":"a"}]},{"name":"b","keys":[{"sha256":"b"}]}],"models":[]}`))
	if err != nil {
		t.Fatal(err)
	}
	_ = append(d.Subscriptions[0].Keys, Key{"c"})
	if got := d.Subscriptions[1].Keys[0].SHA256; got != "b" {
		t.Errorf("got %q, want b", got)
	}
}

func BenchmarkLoad(b *testing.B) {
	compiled, err := large().Compile()
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(compiled)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Load(compiled); err != nil {
			b.Fatal(err)
		}
	}
}
