package envoy

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	injectorv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/credential_injector/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	genericv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/http/injected_credentials/generic/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"

	"github.com/tollgate/tollgate/filters/policy"
)

// Secret is a backend's credential and the file Envoy reads it from.
type Secret struct {
	// File is its name below Options.Dir.
	File string
	// Secret holds the value.
	Secret *tlsv3.Secret
}

// secret reads the credential of a backend. Its file is named by where it is
// sent: a backend that moves to another host gets another file, so that the old
// cluster never sees the new host's secret, nor the new one the old's. A rotated
// secret keeps its file, and Envoy takes it over without touching the cluster.
func (d *render) secret(path string, b policy.Backend, at origin) Secret {
	c := b.Credential
	value, err := d.value(c)
	if err != nil {
		d.errorf(path, "%w", err)
	}
	to := sha256.Sum256(fmt.Appendf(nil, "%s\n%s\n%s", at, strings.ToLower(c.Header), prefix(c)))
	return Secret{
		File: fmt.Sprintf("%s/%s/%x.json", secretsFolder, b.Name, to[:4]),
		Secret: &tlsv3.Secret{
			Name: b.Name,
			Type: &tlsv3.Secret_GenericSecret{GenericSecret: &tlsv3.GenericSecret{
				Secret: &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: value}},
			}},
		},
	}
}

// value is the credential itself. No error says what it is.
func (d *render) value(c *policy.Credential) (string, error) {
	if d.options.Redact {
		return redacted, nil
	}
	var value, from string
	if c.File != "" {
		src, err := d.read(c.File)
		if err != nil {
			return "", fmt.Errorf("file: %w", err)
		}
		value, from = string(bytes.TrimSpace(src)), "file: "+c.File
	} else {
		var ok bool
		if value, ok = os.LookupEnv(c.Env); !ok {
			return "", fmt.Errorf("env: %s is not set", c.Env)
		}
		from = "env: " + c.Env
	}
	if value == "" {
		return "", fmt.Errorf("%s is empty", from)
	}
	// What RFC 9110, section 5.5 takes in a field value.
	if i := strings.IndexFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f }); i >= 0 {
		return "", fmt.Errorf("%s cannot stand in a header: control character at byte %d", from, i)
	}
	return value, nil
}

// read reads a file that the document names.
func (d *render) read(name string) ([]byte, error) {
	if !filepath.IsAbs(name) {
		name = filepath.Join(d.options.BaseDir, name)
	}
	return os.ReadFile(name)
}

// injector adds the secret to each try. Should Envoy not have it, the try goes
// out without: the backend's own 401 says more than one of Envoy's would.
func (d *render) injector(c policy.Credential, s Secret) *hcmv3.HttpFilter {
	return filter("envoy.filters.http.credential_injector", pack(&injectorv3.CredentialInjector{
		Overwrite:                     true,
		AllowRequestWithoutCredential: true,
		Credential: extension("envoy.http.injected_credentials.generic", &genericv3.Generic{
			Credential:        &tlsv3.SdsSecretConfig{Name: s.Secret.Name, SdsConfig: d.poll(s.File)},
			Header:            strings.ToLower(c.Header),
			HeaderValuePrefix: prefix(&c),
		}),
	}))
}

func prefix(c *policy.Credential) string {
	if c.Prefix == nil {
		return ""
	}
	return *c.Prefix
}
