package envoy

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	mutationv3 "github.com/envoyproxy/go-control-plane/envoy/config/common/mutation_rules/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	dnsfamilyv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/clusters/common/dns/v3"
	dnsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/clusters/dns/v3"
	headermutationv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/header_mutation/v3"
	codecv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/upstream_codec/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	upstreamv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// closed is the cluster of a port that nothing listens on. What ends there is a
// connect failure, which is retriable; a missing cluster would not be.
const closed = "closed"

const (
	closedHost = "127.0.0.1"
	closedPort = 1
)

// clusterName is the cluster of a backend.
func clusterName(backend string) string { return "backend/" + backend }

const connectTimeout = 5 * time.Second

// idleTLS and idlePlain are how long an unused connection to a backend is kept.
// Both must be shorter than the other side keeps it, or a request is written into
// a connection that is just being closed and its try is lost. The front ends of
// providers keep one for a minute or more. The model servers people run
// themselves keep one for five seconds (uvicorn, Node), and a new connection to
// them costs next to nothing.
const (
	idleTLS   = 50 * time.Second
	idlePlain = 4 * time.Second
)

// clusters makes a cluster per backend, and the closed one; with them the secrets
// they inject. strip are the headers removed from every try.
func (d *render) clusters(strip []string) (clusters []*clusterv3.Cluster, secrets []Secret) {
	clusters = append(clusters, d.closed())
	for i, b := range d.doc.Backends {
		path := fmt.Sprintf("backends[%d]", i)
		at, err := parseOrigin(b.URL)
		if err != nil {
			d.errorf(path+".url", "%w", err)
			continue
		}
		filters := []*hcmv3.HttpFilter{
			d.attempt(),
			filter(stripName, stripHeaders(strip)),
		}
		if b.Credential != nil {
			s := d.secret(path+".credential", b, at)
			filters = append(filters, d.injector(*b.Credential, s))
			secrets = append(secrets, s)
		}
		c := &clusterv3.Cluster{
			Name:                          clusterName(b.Name),
			LoadAssignment:                at.endpoints(clusterName(b.Name)),
			TypedExtensionProtocolOptions: protocol(at, filters),
		}
		at.discover(c)
		if at.tls {
			c.TransportSocket = d.tls(path+".tls", b.TLS, at)
		}
		settings(c)
		clusters = append(clusters, c)
	}
	sortClusters(clusters)
	return clusters, secrets
}

// sortClusters makes the file of the same clusters the same.
func sortClusters(all []*clusterv3.Cluster) {
	slices.SortFunc(all, func(a, b *clusterv3.Cluster) int { return strings.Compare(a.Name, b.Name) })
}

// closed has the attempt filter as every other cluster has: a try that ends here
// is one the filters know of.
func (d *render) closed() *clusterv3.Cluster {
	at := origin{host: closedHost, port: closedPort, address: netip.MustParseAddr(closedHost)}
	c := &clusterv3.Cluster{
		Name:                          closed,
		LoadAssignment:                at.endpoints(closed),
		TypedExtensionProtocolOptions: protocol(at, []*hcmv3.HttpFilter{d.attempt()}),
	}
	at.discover(c)
	settings(c)
	return c
}

func (d *render) attempt() *hcmv3.HttpFilter {
	return filter("envoy.filters.http.wasm", d.wasm("attempt", nil))
}

// settings are the same in every cluster.
func settings(c *clusterv3.Cluster) {
	c.ConnectTimeout = durationpb.New(connectTimeout)
	c.UpstreamConnectionOptions = &clusterv3.UpstreamConnectionOptions{TcpKeepalive: keepalive()}
	// Limits are the filters' business. Envoy's own, 3 retries and 1024 requests
	// at a time per cluster, would hand clients the 429 of a backend that another
	// could have answered.
	c.CircuitBreakers = &clusterv3.CircuitBreakers{Thresholds: []*clusterv3.CircuitBreakers_Thresholds{{
		MaxConnections:     wrapperspb.UInt32(100_000),
		MaxPendingRequests: wrapperspb.UInt32(100_000),
		MaxRequests:        wrapperspb.UInt32(100_000),
		MaxRetries:         wrapperspb.UInt32(1_000_000),
	}}}
}

// protocolOptions is the name Envoy wants for a cluster's HTTP settings.
const protocolOptions = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"

// protocol is how a backend is spoken to, and the filters each try passes.
func protocol(at origin, filters []*hcmv3.HttpFilter) map[string]*anypb.Any {
	o := &upstreamv3.HttpProtocolOptions{
		CommonHttpProtocolOptions: &corev3.HttpProtocolOptions{IdleTimeout: durationpb.New(idlePlain)},
		UpstreamProtocolOptions: &upstreamv3.HttpProtocolOptions_ExplicitHttpConfig_{
			ExplicitHttpConfig: &upstreamv3.HttpProtocolOptions_ExplicitHttpConfig{
				ProtocolConfig: &upstreamv3.HttpProtocolOptions_ExplicitHttpConfig_HttpProtocolOptions{},
			},
		},
		HttpFilters: append(filters, filter("envoy.filters.http.upstream_codec", pack(&codecv3.UpstreamCodec{}))),
	}
	if at.tls {
		o.CommonHttpProtocolOptions.IdleTimeout = durationpb.New(idleTLS)
		o.UpstreamProtocolOptions = &upstreamv3.HttpProtocolOptions_AutoConfig{
			AutoConfig: &upstreamv3.HttpProtocolOptions_AutoHttpConfig{},
		}
	}
	return map[string]*anypb.Any{protocolOptions: pack(o)}
}

// stripName is the filter that removes headers from a try.
const stripName = "envoy.filters.http.header_mutation"

// credentials are the headers of which any client, or the try before, may have
// left a credential that is none of this backend's business. OpenAI's two name
// what the client's own key belongs to. Cookies are of the gateway's host, and no
// LLM API takes one.
var credentials = []string{
	"api-key",
	"authorization",
	"cookie",
	"ocp-apim-subscription-key",
	"openai-organization",
	"openai-project",
	"proxy-authorization",
	"x-api-key",
	"x-goog-api-key",
}

// credentialHeaders adds those that carry a backend's credential, sorted: what one
// try injects is still there in the next.
func (d *render) credentialHeaders() []string {
	all := slices.Clone(credentials)
	for _, b := range d.doc.Backends {
		if b.Credential != nil {
			all = append(all, strings.ToLower(b.Credential.Header))
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// stripHeaders removes credentials, internal headers and whatever says where the
// client is, which is not the provider's business.
func stripHeaders(credentials []string) *anypb.Any {
	return pack(&headermutationv3.HeaderMutation{Mutations: &headermutationv3.Mutations{
		RequestMutations: append(remove(slices.Concat(credentials, []string{"forwarded", "x-real-ip"})...),
			removeAll(slices.Concat(internal, []string{"x-forwarded-"})...)...),
	}})
}

// remove removes headers by their names.
func remove(names ...string) []*mutationv3.HeaderMutation {
	var out []*mutationv3.HeaderMutation
	for _, name := range names {
		out = append(out, &mutationv3.HeaderMutation{Action: &mutationv3.HeaderMutation_Remove{Remove: name}})
	}
	return out
}

// origin is where a backend is.
type origin struct {
	tls     bool
	host    string // in lower case, without brackets
	port    uint32
	address netip.Addr // of a host that is one
}

func parseOrigin(s string) (origin, error) {
	u, err := url.Parse(s)
	if err != nil {
		return origin{}, err
	}
	at := origin{tls: u.Scheme == "https", host: strings.ToLower(u.Hostname()), port: 80}
	if at.tls {
		at.port = 443
	}
	if p := u.Port(); p != "" {
		n, err := strconv.ParseUint(p, 10, 16)
		if err != nil {
			return origin{}, fmt.Errorf("port: want 1 to 65535, got %q", p)
		}
		at.port = uint32(n)
	}
	at.address, _ = netip.ParseAddr(at.host)
	return at, nil
}

// String is the origin as RFC 6454 writes it, always with a port.
func (at origin) String() string {
	scheme := "http"
	if at.tls {
		scheme = "https"
	}
	return scheme + "://" + net.JoinHostPort(at.host, strconv.Itoa(int(at.port)))
}

// endpoints are the backend, and for a name the closed port one priority below:
// while the name does not resolve, a cluster without hosts would end the request,
// but a connect failure goes to the next backend.
func (at origin) endpoints(cluster string) *endpointv3.ClusterLoadAssignment {
	a := &endpointv3.ClusterLoadAssignment{
		ClusterName: cluster,
		Endpoints:   []*endpointv3.LocalityLbEndpoints{locality(0, at.host, at.port)},
	}
	if !at.address.IsValid() {
		a.Endpoints = append(a.Endpoints, locality(1, closedHost, closedPort))
	}
	return a
}

func locality(priority uint32, host string, port uint32) *endpointv3.LocalityLbEndpoints {
	return &endpointv3.LocalityLbEndpoints{Priority: priority, LbEndpoints: []*endpointv3.LbEndpoint{{
		HostIdentifier: &endpointv3.LbEndpoint_Endpoint{Endpoint: &endpointv3.Endpoint{
			Address:  socket(host, port),
			Hostname: host,
		}},
	}}}
}

// discover says how the cluster finds its hosts. A name is looked up as often as
// its record asks for, at most every five seconds.
func (at origin) discover(c *clusterv3.Cluster) {
	if at.address.IsValid() {
		c.ClusterDiscoveryType = &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC}
		return
	}
	c.ClusterDiscoveryType = &clusterv3.Cluster_ClusterType{ClusterType: &clusterv3.Cluster_CustomClusterType{
		Name: "envoy.cluster.dns",
		TypedConfig: pack(&dnsv3.DnsCluster{
			DnsLookupFamily:   dnsfamilyv3.DnsLookupFamily_V4_PREFERRED,
			RespectDnsTtl:     true,
			DnsMinRefreshRate: durationpb.New(5 * time.Second),
			DnsFailureRefreshRate: &dnsv3.DnsCluster_RefreshRate{
				BaseInterval: durationpb.New(time.Second),
				MaxInterval:  durationpb.New(10 * time.Second),
			},
		}),
	}}
}
