package envoy

import (
	"crypto/x509"
	"fmt"
	"os"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"

	"github.com/tollgate/tollgate/filters/policy"
)

// tls makes a backend prove that it is the host of its URL. The usual settings,
// auto_sni and auto_san_validation, go by the request's Host, which is still the
// client's when the connection is chosen.
func (d *render) tls(path string, t *policy.TLS, at origin) *corev3.TransportSocket {
	validation := &tlsv3.CertificateValidationContext{TrustedCa: d.authorities(path, t)}
	c := &tlsv3.UpstreamTlsContext{
		AutoHostSni:          true,
		AutoSniSanValidation: true,
		CommonTlsContext: &tlsv3.CommonTlsContext{
			ValidationContextType: &tlsv3.CommonTlsContext_ValidationContext{ValidationContext: validation},
		},
	}
	if at.address.IsValid() {
		// An address cannot be an SNI (RFC 6066, section 3), so it is checked by
		// the certificate's addresses.
		c.AutoHostSni, c.AutoSniSanValidation = false, false
		validation.MatchTypedSubjectAltNames = []*tlsv3.SubjectAltNameMatcher{{
			SanType: tlsv3.SubjectAltNameMatcher_IP_ADDRESS,
			Matcher: &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Exact{Exact: at.address.String()}},
		}}
	}
	return &corev3.TransportSocket{
		Name:       "envoy.transport_sockets.tls",
		ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: pack(c)},
	}
}

// authorities are a backend's own, or the system's. Its own are copied into the
// cluster: a changed file is then a changed cluster, and a broken one is an error
// here and not in Envoy.
func (d *render) authorities(path string, t *policy.TLS) *corev3.DataSource {
	if t == nil || t.CA == "" {
		bundle, err := systemBundle()
		if err != nil {
			d.errorf(path, "%w", err)
		}
		return &corev3.DataSource{Specifier: &corev3.DataSource_Filename{Filename: bundle}}
	}
	pem, err := d.read(t.CA)
	if err == nil && !x509.NewCertPool().AppendCertsFromPEM(pem) {
		err = fmt.Errorf("%s: no PEM certificate in it", t.CA)
	}
	if err != nil {
		d.errorf(path+".ca", "%w", err)
	}
	return &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: string(pem)}}
}

// bundles are where systems keep their certificate authorities, as Go's
// crypto/x509 looks for them.
var bundles = []string{
	"/etc/ssl/certs/ca-certificates.crt",                // Debian, Ubuntu, Alpine
	"/etc/pki/tls/certs/ca-bundle.crt",                  // Fedora, RHEL 6
	"/etc/ssl/ca-bundle.pem",                            // openSUSE
	"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", // RHEL 7 and later
	"/etc/ssl/cert.pem",                                 // macOS, Alpine
}

// systemBundle is $SSL_CERT_FILE, else the first of the usual files.
func systemBundle() (string, error) {
	if file := os.Getenv("SSL_CERT_FILE"); file != "" {
		return file, nil
	}
	for _, file := range bundles {
		if _, err := os.Stat(file); err == nil {
			return file, nil
		}
	}
	return "", fmt.Errorf("no certificate authorities of the system found: name a file in SSL_CERT_FILE or in tls.ca")
}
