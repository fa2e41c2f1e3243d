package policy

import (
	"fmt"
	"slices"
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
			if _, _, err := Load(c.src); err == nil || err.Error() != "compiled document: "+c.want {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

// Every way Compile can write a subscription is the fast one, and each key finds
// its own.
func TestRegister(t *testing.T) {
	d := large()
	d.Subscriptions = append(d.Subscriptions,
		Subscription{Name: "bare"},
		Subscription{Name: "former", Product: "gold", Keys: []Key{{"01"}, {"00"}}, Disabled: true},
		Subscription{Name: "off", Disabled: true},
		Subscription{Name: "one", Keys: []Key{{"02"}}},
	)
	for _, n := range []int{0, 1, 2, 3, 9_999, 10_000, 10_003} {
		d := *d
		d.Subscriptions = d.Subscriptions[n:]
		compiled, err := d.Compile()
		if err != nil {
			t.Fatal(err)
		}
		if _, _, ok := cut(string(compiled)); !ok {
			t.Fatalf("not cut: %.300s", compiled)
		}
		_, register, err := Load(string(compiled))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(byKey(d.Subscriptions), slices.Collect(register.All)); diff != "" {
			t.Errorf("(-compiled +register):\n%s", diff)
		}
		for _, s := range d.Subscriptions {
			for _, key := range s.Keys {
				want := s
				want.Keys = []Key{key}
				if got, ok := register.Find(key.SHA256); !ok || !cmp.Equal(got, want) {
					t.Fatalf("%s finds %+v, %v, want %+v", key.SHA256, got, ok, want)
				}
			}
		}
		for _, nobody := range []string{"", "0", "000", "03", "zz", "fffff"} {
			if got, ok := register.Find(nobody); ok {
				t.Errorf("%q finds %+v", nobody, got)
			}
		}
	}
}

// Another order, white space and escapes load as well.
func TestLoadOfOtherSpellings(t *testing.T) {
	want := []Subscription{{Name: "a", Product: "g", Keys: []Key{{"00"}}}, {Name: "a", Product: "g", Keys: []Key{{"11"}}}}
	for _, src := range []string{
		`{"subscriptions":[{"name":"a","product":"g","keys":[{"sha256":"11"},{"sha256":"00"}]}],"models":[]}`,
		`{"models":[],"subscriptions":[{"name":"a","product":"g","keys":[{"sha256":"11"},{"sha256":"00"}]}]}`,
		`{"subscriptions":[{"name":"a","product":"g","keys":[{"sha256":"00"},{"sha256":"11"}]}],"pools":[{"name":"p","members":null}]}`,
		`{"subscriptions":[{"name":"a","product":"g","keys":[{"sha256":"00"}]},{"name":"a","product":"g","keys":[{"sha256":"11"}]}],"products":[{"name":"g"}]}`,
		`{"models":[],"subscriptions":[{"product":"g","name":"a","keys":[{"sha256":"00"},{"sha256":"11"}]}]}`,
		`{"models":[], "subscriptions": [{"name": "a", "product": "g", "keys": [{"sha256": "00"},{"sha256":"11"}]}]}`,
		`{"models":[],"subscriptions":[{"name":"\u0061","product":"g","keys":[{"sha256":"00"},{"sha256":"11"}]}]}`,
	} {
		d, register, err := Load(src)
		if err != nil {
			t.Errorf("%s: %v", src, err)
			continue
		}
		if diff := cmp.Diff(want, slices.Collect(register.All)); diff != "" || d.Subscriptions != nil {
			t.Errorf("%s (-want +got):\n%s", src, diff)
		}
	}
	const odd = `{"subscriptions":[{"name":"a\"b"}]}`
	_, _, err := Load(odd)
	if want := "compiled document: subscriptions: a name that Parse would refuse"; err == nil || err.Error() != want {
		t.Errorf("%s: %v, want %s", odd, err, want)
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
		if _, _, err := Load(string(compiled[:n])); err == nil {
			t.Fatalf("accepted %s", compiled[:n])
		}
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
		if _, _, err := Load(string(compiled)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkFind(b *testing.B) {
	compiled, err := large().Compile()
	if err != nil {
		b.Fatal(err)
	}
	_, register, err := Load(string(compiled))
	if err != nil {
		b.Fatal(err)
	}
	key := large().Subscriptions[1234].Keys[0].SHA256
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := register.Find(key); !ok {
			b.Fatal("not found")
		}
	}
}

// One document after another, with everything changed that can be, loads as it
// would alone.
func TestLoaderForgetsNothing(t *testing.T) {
	small := func() *Document {
		d := large()
		d.Subscriptions, d.Backends, d.Pools, d.Models = d.Subscriptions[:2], d.Backends[:2], d.Pools[:2], d.Models[:2]
		return d
	}
	var l Loader
	for _, c := range []struct {
		name   string
		change func(*Document)
	}{
		{"the first", func(*Document) {}},
		{"the same", func(*Document) {}},
		{"a limit", func(d *Document) { d.Limits.Tokens[0].TokensPerMinute.Default = 5 }},
		{"another estimate", func(d *Document) { d.Limits.Tokens[0].Estimate = Off }},
		{"two limits", func(d *Document) { d.Limits.Tokens = append(d.Limits.Tokens, TokenLimit{Name: "second"}) }},
		{"none", func(d *Document) { d.Limits.Tokens = nil }},
		{"a subscription less", func(d *Document) { d.Subscriptions = d.Subscriptions[:1] }},
		{"no subscription", func(d *Document) { d.Subscriptions = nil }},
		{"a backend and a limit", func(d *Document) { d.Backends[0].URL = "http://other"; d.Limits.Tokens[0].Name = "other" }},
		{"a model less", func(d *Document) { d.Models = d.Models[:1] }},
		{"the first again", func(*Document) {}},
	} {
		d := small()
		c.change(d)
		compiled, err := d.Compile()
		if err != nil {
			t.Fatal(err)
		}
		got, register, err := l.Load(string(compiled))
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		want, alone, err := Load(string(compiled))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" || register != alone {
			t.Errorf("%s (-alone +after the others):\n%s", c.name, diff)
		}
	}
	if _, _, err := l.Load(`{"limits":{"tokens":1}}`); err == nil {
		t.Error("accepted a number for a list")
	}
}
