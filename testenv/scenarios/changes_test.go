package scenarios

import (
	"bufio"
	"io"
	"strings"
)

// changes are documents that replace one another while the gateway runs. Each
// scenario starts from the group's own document.
var changes = []scenario{
	{"a limit", []step{
		document("default: 1000", "default: 500"),
		call{want: map[string]string{"x-ratelimit-limit-tokens": "500"}, checkedAgainst: 500},
		document(),
		call{key: "another", aside: true, want: map[string]string{"x-ratelimit-limit-tokens": "1000"}},
	}},
	{"a bucket stays as full as it was", []step{
		document(),
		call{fault: "tokens=400"},
		document("default: 1000", "default: 500"),
		act(func(s *stage) { s.used /= 2 }),
		call{checkedAgainst: 500, fault: "tokens=1"},
	}},
	{"a model comes and goes", []step{
		document("[gpt-4o-2024-08-06]", "[tiny]"),
		call{body: chatFor("tiny")},
		call{body: chatFor("gpt-4o-2024-08-06"), status: 404},
		document(),
		call{body: chatFor("gpt-4o-2024-08-06")},
		call{body: chatFor("tiny"), status: 404},
	}},
	{"a backend comes and goes", []step{
		document("  - {name: a, url: $A}\n", "  - {name: a, url: $A}\n  - {name: b, url: $B}\n"),
		call{},
		document("  - {name: a, url: $A}\n", "  - {name: b, url: $B}\n", "{backend: a}", "{backend: b}"),
		call{reached: []string{"B"}},
		document(),
		call{},
	}},
	{"a key is withdrawn", []step{
		document(),
		call{key: "old"},
		document("{sha256: "+hash("old")+"}, ", ""),
		call{key: "old", status: 401},
		call{key: "new"},
	}},
	{"the largest body", []step{
		document("maxBody: 8MiB", "maxBody: 1KiB"),
		call{body: sized(1025), status: 413},
		call{body: sized(1024)},
		document(),
		call{body: sized(maxBody), limit: 100_000_000, aside: true},
	}},
	{"a stream ends under the document it began with", []step{
		document(),
		act(func(s *stage) {
			name, gate := s.gate("A")
			c := call{limit: ample, body: chat(`"stream":true`), fault: "tokens=500; hold=" + name + "; hold-after=3"}
			res := s.open(c)
			in := bufio.NewReader(res.Body)
			first := readEvent(s, in)
			document("{name: gpt-4o, pool: main, aliases: [gpt-4o-2024-08-06]}", "{name: gpt-5, pool: main}").play(s)
			gate.Open()
			rest, err := io.ReadAll(in)
			res.Body.Close()
			if want := s.direct(c, ""); err != nil || first+string(rest) != want {
				s.t.Errorf("%s (%v)", difference(first+string(rest), want), err)
			}
			document().play(s)
			s.used = s.usage(stream{fault: "tokens=500"})
		}),
		call{limit: ample, fault: "tokens=1"},
	}},
}

// document puts the group's document in force with some text replaced.
func document(oldnew ...string) step {
	return act(func(s *stage) {
		s.t.Helper()
		s.gateway.Reload(s.t, s.edit(s.document, oldnew...))
	})
}

// edit replaces texts of a document, each once.
func (s *stage) edit(document string, oldnew ...string) string {
	s.t.Helper()
	for i := 0; i < len(oldnew); i += 2 {
		old, with := s.fill(oldnew[i]), s.fill(oldnew[i+1])
		if !strings.Contains(document, old) {
			s.t.Fatalf("the document has no %q", old)
		}
		document = strings.Replace(document, old, with, 1)
	}
	return document
}
