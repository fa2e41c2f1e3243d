package strict

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"
)

// cluster is a backend as Envoy knows it.
type cluster struct {
	name      string
	address   string // host:port
	tls       bool
	filters   []upstreamFilter // in the order of the request
	transport *http.Transport
}

// upstreamFilter is one step of a try; exactly one member is set.
type upstreamFilter struct {
	wasm      *wasmFilter
	mutations []mutation
	inject    *injector
}

// injector adds a credential that is read from its file for every try, so that
// a rotation takes effect without a reload.
type injector struct {
	secret    string
	source    pathConfig
	header    string
	prefix    string
	overwrite bool
	optional  bool
}

// apply reports false when there is no secret and the try may not go without.
func (i *injector) apply(h *headers) bool {
	if _, found := h.get(i.header); found && !i.overwrite {
		return true
	}
	value, err := readSecret(i.source, i.secret)
	if err != nil {
		return i.optional
	}
	h.set(i.header, i.prefix+value)
	return true
}

func readSecret(source pathConfig, name string) (string, error) {
	all, err := resources(source)
	if err != nil {
		return "", err
	}
	for _, t := range all {
		var secret struct {
			Name    string `json:"name"`
			Generic struct {
				Secret struct {
					Inline string `json:"inline_string"`
					Bytes  []byte `json:"inline_bytes"`
				} `json:"secret"`
			} `json:"generic_secret"`
		}
		if err := t.into(&secret); err != nil {
			return "", err
		}
		if secret.Name == name {
			return secret.Generic.Secret.Inline + string(secret.Generic.Secret.Bytes), nil
		}
	}
	return "", fmt.Errorf("secret %s: not there", name)
}

// clusterEntry is a cluster as it is written.
type clusterEntry struct {
	Name           string   `json:"name"`
	ConnectTimeout duration `json:"connect_timeout"`
	Assignment     struct {
		Endpoints []struct {
			Priority int `json:"priority"`
			Hosts    []struct {
				Endpoint struct {
					Hostname string `json:"hostname"`
					Address  struct {
						Socket struct {
							Address string `json:"address"`
							Port    int    `json:"port_value"`
						} `json:"socket_address"`
					} `json:"address"`
				} `json:"endpoint"`
			} `json:"lb_endpoints"`
		} `json:"endpoints"`
	} `json:"load_assignment"`
	Socket *struct {
		Typed typed `json:"typed_config"`
	} `json:"transport_socket"`
	Options map[string]struct {
		Filters []httpFilter `json:"http_filters"`
	} `json:"typed_extension_protocol_options"`
}

func (c *config) readClusters(p pathConfig) error {
	all, err := resources(p)
	if err != nil {
		return err
	}
	c.clusters = map[string]*cluster{}
	for _, t := range all {
		var entry clusterEntry
		err := t.into(&entry)
		if err == nil {
			c.clusters[entry.Name], err = entry.cluster()
		}
		if err != nil {
			return fmt.Errorf("%s: %w", entry.Name, err)
		}
	}
	return nil
}

// cluster takes the first host of the highest priority. One below is there for a
// name that does not resolve, which is a connect failure here anyway.
func (e clusterEntry) cluster() (*cluster, error) {
	c := &cluster{name: e.Name}
	hostname := ""
	for _, locality := range e.Assignment.Endpoints {
		if locality.Priority == 0 && len(locality.Hosts) > 0 && c.address == "" {
			host := locality.Hosts[0].Endpoint
			c.address = net.JoinHostPort(host.Address.Socket.Address, strconv.Itoa(host.Address.Socket.Port))
			hostname = host.Hostname
		}
	}
	if c.address == "" {
		return nil, errors.New("no endpoint of priority 0")
	}
	for _, f := range e.Options["envoy.extensions.upstreams.http.v3.HttpProtocolOptions"].Filters {
		step, err := f.upstream()
		if err != nil {
			return nil, fmt.Errorf("http filter %s: %w", f.Name, err)
		}
		c.filters = append(c.filters, step)
	}
	connect := 5 * time.Second
	if e.ConnectTimeout > 0 {
		connect = time.Duration(e.ConnectTimeout)
	}
	address := c.address
	c.transport = &http.Transport{
		DialContext:        (&net.Dialer{Timeout: connect}).DialContext,
		DisableCompression: true,
		MaxConnsPerHost:    0,
		// As many as one test opens at a time.
		MaxIdleConnsPerHost: 256,
		IdleConnTimeout:     4 * time.Second,
		TLSHandshakeTimeout: connect,
	}
	if e.Socket == nil {
		return c, nil
	}
	c.tls = true
	var err error
	c.transport.TLSClientConfig, err = upstreamTLS(e.Socket.Typed, hostname)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", address, err)
	}
	return c, nil
}

// upstream reads one step of a cluster's filter chain.
func (f httpFilter) upstream() (upstreamFilter, error) {
	t, err := f.resolve()
	if err != nil {
		return upstreamFilter{}, err
	}
	switch {
	case t.is("Wasm"):
		w, err := t.wasm()
		return upstreamFilter{wasm: &w}, err
	case t.is("HeaderMutation"):
		var m struct {
			Mutations struct {
				Request []mutation `json:"request_mutations"`
			} `json:"mutations"`
		}
		err := t.into(&m)
		return upstreamFilter{mutations: m.Mutations.Request}, err
	case t.is("CredentialInjector"):
		var i struct {
			Overwrite  bool `json:"overwrite"`
			Optional   bool `json:"allow_request_without_credential"`
			Credential struct {
				Typed struct {
					Credential struct {
						Name   string     `json:"name"`
						Source pathConfig `json:"sds_config"`
					} `json:"credential"`
					Header string `json:"header"`
					Prefix string `json:"header_value_prefix"`
				} `json:"typed_config"`
			} `json:"credential"`
		}
		err := t.into(&i)
		from := i.Credential.Typed
		if from.Header == "" {
			from.Header = "authorization"
		}
		return upstreamFilter{inject: &injector{
			secret: from.Credential.Name, source: from.Credential.Source, header: from.Header,
			prefix: from.Prefix, overwrite: i.Overwrite, optional: i.Optional,
		}}, err
	case t.is("UpstreamCodec"):
		return upstreamFilter{}, nil
	}
	return upstreamFilter{}, fmt.Errorf("%s is not played by the strict host", t.Type)
}

// upstreamTLS verifies a backend's certificate as its UpstreamTlsContext asks:
// against the authorities, and against a name or the listed alternative names.
func upstreamTLS(t typed, hostname string) (*tls.Config, error) {
	var c struct {
		SNI         string `json:"sni"`
		AutoHostSNI bool   `json:"auto_host_sni"`
		AutoSAN     bool   `json:"auto_sni_san_validation"`
		Common      struct {
			Validation *struct {
				CA struct {
					Filename string `json:"filename"`
					Inline   string `json:"inline_string"`
					Bytes    []byte `json:"inline_bytes"`
				} `json:"trusted_ca"`
				SANs []struct {
					Matcher struct {
						Exact string `json:"exact"`
					} `json:"matcher"`
				} `json:"match_typed_subject_alt_names"`
			} `json:"validation_context"`
		} `json:"common_tls_context"`
	}
	if err := t.into(&c); err != nil {
		return nil, err
	}
	out := &tls.Config{ServerName: c.SNI, InsecureSkipVerify: true} // what is to be verified, VerifyConnection does
	if c.AutoHostSNI && c.SNI == "" {
		out.ServerName = hostname
	}
	if c.Common.Validation == nil {
		return out, nil
	}
	pem := []byte(c.Common.Validation.CA.Inline + string(c.Common.Validation.CA.Bytes))
	if name := c.Common.Validation.CA.Filename; name != "" {
		var err error
		if pem, err = os.ReadFile(name); err != nil {
			return nil, err
		}
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, errors.New("trusted_ca: no certificate")
	}
	var names []string
	for _, san := range c.Common.Validation.SANs {
		names = append(names, san.Matcher.Exact)
	}
	if c.AutoSAN {
		names = append(names, out.ServerName)
	}
	out.VerifyConnection = func(state tls.ConnectionState) error {
		return verify(state.PeerCertificates, roots, names)
	}
	return out, nil
}

func verify(chain []*x509.Certificate, roots *x509.CertPool, names []string) error {
	if len(chain) == 0 {
		return errors.New("no certificate")
	}
	options := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool()}
	for _, c := range chain[1:] {
		options.Intermediates.AddCert(c)
	}
	if _, err := chain[0].Verify(options); err != nil {
		return err
	}
	var err error
	for _, name := range names {
		if err = chain[0].VerifyHostname(name); err == nil {
			return nil
		}
	}
	return err
}
