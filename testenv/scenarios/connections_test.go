package scenarios

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/tollgate/tollgate/testenv/gateway"
	"github.com/tollgate/tollgate/testenv/mock"
)

// connections are what Envoy's own listener adds.
var connections = []scenario{
	{"HTTP/2 with prior knowledge", []step{
		act(func(s *stage) {
			protocols := new(http.Protocols)
			protocols.SetUnencryptedHTTP2(true)
			transport := s.client.Transport.(*http.Transport)
			transport.Protocols = protocols
		}),
		call{limit: ample},
		act(atOnce),
		stream{},
		stream{options: `{"include_usage":true}`, fault: "split=3"},
		call{limit: ample, body: "hello", status: 400},
		call{limit: ample, body: sized(maxBody + 1), status: 413},
		call{limit: ample},
	}},
	{"an upload that is refused while it lasts", []step{
		call{body: sized(2 * maxBody), status: 413, chunked: true},
	}},
}

// atOnce sends 50 requests at the same time, which over HTTP/2 is on one
// connection.
func atOnce(s *stage) {
	const requests, tokens = 50, 11
	var all sync.WaitGroup
	for range requests {
		all.Go(func() {
			a, err := s.try(s.client, call{limit: ample, fault: "delay=20ms; tokens=1"}.request(s))
			if err != nil || a.status != http.StatusOK {
				s.t.Errorf("%v\n%v", err, a)
			}
		})
	}
	all.Wait()
	s.used += requests * tokens
}

// rotation is a secret that changes while the gateway runs. Envoy watches its
// file.
var rotation = []scenario{
	{"a new secret is sent within two seconds", []step{
		call{also: asEach},
		act(func(s *stage) {
			s.gateway.Put(s.t, "secrets/a", "bk-next-secret-of-a")
			gateway.Eventually(s.t, inForce, "the new secret is sent", func() bool {
				if a := s.send(call{limit: ample}); a.status != http.StatusOK {
					s.t.Fatalf("%s", a)
				}
				_, secret := s.last().Credential()
				return secret == "bk-next-secret-of-a"
			})
			s.gateway.Put(s.t, "secrets/a", secretOfA)
		}),
	}},
}

// encrypted are backends behind TLS: one whose certificate fits its name, one
// whose certificate is for another, one signed by somebody unknown.
func encrypted(t *testing.T) group {
	t.Helper()
	authority, err := mock.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	return group{
		name:     "encrypted backends",
		document: overTLS,
		backends: []mock.Options{
			{Name: "A", Host: "localhost", Authority: authority},
			{Name: "B", Host: "elsewhere.test", Authority: authority},
			{Name: "C", Host: "localhost"},
		},
		options: []gateway.Option{gateway.File("ca.pem", string(authority.PEM()))},
		tables:  []table{{name: "handshakes", scenarios: handshakes, onlyEnvoy: true}},
	}
}

var handshakes = []scenario{
	{"the certificate fits", []step{
		call{also: func(s *stage, _ *answer) {
			r := s.last()
			if r.SNI != "localhost" || !strings.HasPrefix(r.Host, "localhost:") {
				s.t.Errorf("SNI %q and host %q, want localhost in both", r.SNI, r.Host)
			}
		}},
	}},
	{"as a stream", []step{call{body: chat(`"stream":true`), also: func(s *stage, a *answer) {
		if !strings.HasSuffix(a.body, "data: [DONE]\n\n") {
			s.t.Errorf("stream\n%s", a)
		}
	}}}},
	{"a certificate for another name", []step{call{body: chatFor("misnamed"), status: 503, also: keepsQuiet}}},
	{"a certificate of an unknown authority", []step{call{body: chatFor("unknown"), status: 503, also: keepsQuiet}}},
	{"the next backend answers", []step{call{body: chatFor("either"), reached: []string{"A"}}}},
}
