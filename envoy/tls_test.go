package envoy_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestTLS tries backends that are who they say, and backends that are not.
func TestTLS(t *testing.T) {
	ca := newAuthority(t)
	name := ca.serve(t, "name", &x509.Certificate{DNSNames: []string{"localhost"}})
	address := ca.serve(t, "address", &x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}})
	plain := serve(t, "plain")
	// The system's authorities are those of another.
	t.Setenv("SSL_CERT_FILE", newAuthority(t).file)
	host := func(p *provider, host string) string { return strings.Replace(p.URL, "127.0.0.1", host, 1) }
	t.Setenv("KEY", "SECRET")
	doc := parse(t, strings.NewReplacer("CA", ca.file, "PLAIN", plain.URL,
		"NAME-BY-NAME", host(name, "localhost"), "NAME-BY-ADDRESS", name.URL,
		"ADDRESS-BY-NAME", host(address, "localhost"), "ADDRESS-BY-ADDRESS", address.URL).Replace(`
backends:
  - {name: a, url: "PLAIN"}
  - {name: name, url: "NAME-BY-NAME", tls: {ca: "CA"}, credential: {env: KEY}}
  - {name: address, url: "ADDRESS-BY-ADDRESS", tls: {ca: "CA"}}
  - {name: other-name, url: "ADDRESS-BY-NAME", tls: {ca: "CA"}, credential: {env: KEY}}
  - {name: other-address, url: "NAME-BY-ADDRESS", tls: {ca: "CA"}, credential: {env: KEY}}
  - {name: stranger, url: "NAME-BY-NAME", credential: {env: KEY}}
`))
	o := options(t)
	p := start(t, render(t, doc, o), o)

	for _, test := range []struct{ backend, body, tries string }{
		{"name", "name", "backend/name"},
		{"address", "address", "backend/address"},
		{"other-name", "plain", "backend/other-name backend/a"},
		{"other-address", "plain", "backend/other-address backend/a"},
		{"stranger", "plain", "backend/stranger backend/a"},
	} {
		t.Run(test.backend, func(t *testing.T) {
			got := p.do("{}", "x-order", test.backend+",a")
			if got.status != 200 || got.body != test.body || got.tries != test.tries {
				t.Errorf("%d %q after %q, want %q after %q", got.status, got.body, got.tries, test.body, test.tries)
			}
		})
	}
	if t.Failed() {
		return
	}
	t.Run("HTTP/2 by ALPN", func(t *testing.T) {
		if got := name.got[0]; got.ProtoMajor != 2 || got.TLS.ServerName != "localhost" {
			t.Errorf("%s for %q", got.Proto, got.TLS.ServerName)
		}
		if got := address.got[0]; got.ProtoMajor != 2 || got.TLS.ServerName != "" {
			t.Errorf("%s for %q", got.Proto, got.TLS.ServerName)
		}
	})
	if diff := cmp.Diff(map[string]string{"authorization": "Bearer SECRET"}, name.last()); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
}

// authority signs certificates.
type authority struct {
	file string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t testing.TB) *authority {
	a := &authority{}
	var der []byte
	a.key, der = certify(t, &x509.Certificate{IsCA: true, BasicConstraintsValid: true}, nil)
	a.cert, _ = x509.ParseCertificate(der)
	a.file = filepath.Join(t.TempDir(), "ca.pem")
	err := os.WriteFile(a.file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// serve runs a backend with a certificate of this authority.
func (a *authority) serve(t testing.TB, name string, template *x509.Certificate) *provider {
	key, der := certify(t, template, a)
	p := newProvider(name)
	p.Server = httptest.NewUnstartedServer(p)
	p.EnableHTTP2 = true
	p.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	p.Config.ErrorLog = log.New(io.Discard, "", 0)
	p.StartTLS()
	t.Cleanup(p.Close)
	return p
}

// certify makes a key and a certificate for it, signed by itself without a by.
func certify(t testing.TB, template *x509.Certificate, by *authority) (*ecdsa.PrivateKey, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.Subject.CommonName = template.SerialNumber.String()
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := template, key
	if by != nil {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	return key, der
}
