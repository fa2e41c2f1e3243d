package envoy

import (
	"net/netip"
	"time"

	mutationv3 "github.com/envoyproxy/go-control-plane/envoy/config/common/mutation_rules/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	earlyv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/http/early_header_mutation/header_mutation/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// Names that Envoy's statistics and the other resources refer to.
const (
	listenerName = "tollgate"
	routesName   = "tollgate"
	gatewayName  = "gateway"
)

const (
	// bufferLimit is what Envoy reads from a connection at once and holds of it, in
	// bytes. What the filters hold has its limit in the route.
	bufferLimit = 1 << 20

	// headersTimeout bounds a client that trickles its headers.
	headersTimeout = 30 * time.Second

	// requestTimeout bounds a client that trickles its body. It ends when the
	// whole request has been passed on, so it bounds no answer.
	requestTimeout = 5 * time.Minute

	// maxStreams bounds the bodies of one HTTP/2 connection that are in memory at
	// a time, the windows what is on its way to them.
	maxStreams       = 100
	streamWindow     = 1 << 20
	connectionWindow = 16 << 20
)

func (d *render) listener() *listenerv3.Listener {
	return &listenerv3.Listener{
		Name:                          listenerName,
		Address:                       d.listen(),
		PerConnectionBufferLimitBytes: wrapperspb.UInt32(bufferLimit),
		TcpKeepalive:                  keepalive(),
		FilterChains: []*listenerv3.FilterChain{{Filters: []*listenerv3.Filter{{
			Name:       "envoy.filters.network.http_connection_manager",
			ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: pack(d.connections())},
		}}}},
	}
}

// connections is the HTTP connection manager.
func (d *render) connections() *hcmv3.HttpConnectionManager {
	return &hcmv3.HttpConnectionManager{
		StatPrefix: listenerName,
		RouteSpecifier: &hcmv3.HttpConnectionManager_Rds{Rds: &hcmv3.Rds{
			RouteConfigName: routesName,
			ConfigSource:    d.watch(routesFile),
		}},
		HttpFilters: []*hcmv3.HttpFilter{
			{Name: gatewayName, ConfigType: &hcmv3.HttpFilter_ConfigDiscovery{ConfigDiscovery: &corev3.ExtensionConfigSource{
				ConfigSource: d.watch(gatewayFile),
				TypeUrls:     []string{wasmType},
			}}},
			// What a provider and a client see of each other is theirs: no
			// x-envoy-* header is added on the way.
			filter("envoy.filters.http.router", pack(&routerv3.Router{SuppressEnvoyHeaders: true})),
		},
		Http2ProtocolOptions: &corev3.Http2ProtocolOptions{
			MaxConcurrentStreams:        wrapperspb.UInt32(maxStreams),
			InitialStreamWindowSize:     wrapperspb.UInt32(streamWindow),
			InitialConnectionWindowSize: wrapperspb.UInt32(connectionWindow),
		},
		ServerHeaderTransformation: hcmv3.HttpConnectionManager_PASS_THROUGH,
		RequestHeadersTimeout:      durationpb.New(headersTimeout),
		RequestTimeout:             durationpb.New(requestTimeout),
		UseRemoteAddress:           wrapperspb.Bool(true),
		XffNumTrustedHops:          uint32(d.doc.Identity.TrustedHops),
		NormalizePath:              wrapperspb.Bool(true),
		// The router obeys x-envoy-*, the filters x-tollgate-*: neither is the
		// client's to say, whatever address it comes from. This runs before Envoy
		// adds its own and before any filter.
		EarlyHeaderMutationExtensions: []*corev3.TypedExtensionConfig{
			extension("envoy.http.early_header_mutation.header_mutation", &earlyv3.HeaderMutation{
				Mutations: removeAll(internal...),
			}),
		},
	}
}

// internal are the beginnings of the headers by which filters and router steer a
// request.
var internal = []string{"x-envoy-", "x-tollgate-"}

// removeAll removes headers by how their names begin.
func removeAll(prefixes ...string) []*mutationv3.HeaderMutation {
	var out []*mutationv3.HeaderMutation
	for _, prefix := range prefixes {
		out = append(out, &mutationv3.HeaderMutation{Action: &mutationv3.HeaderMutation_RemoveOnMatch_{
			RemoveOnMatch: &mutationv3.HeaderMutation_RemoveOnMatch{KeyMatcher: &matcherv3.StringMatcher{
				MatchPattern: &matcherv3.StringMatcher_Prefix{Prefix: prefix},
			}},
		}})
	}
	return out
}

// listen is the address of the listener.
func (d *render) listen() *corev3.Address {
	path, listen := "gateway.listen", d.doc.Gateway.Listen
	if d.options.Listen != "" {
		path, listen = "listen", d.options.Listen
	}
	at, err := netip.ParseAddrPort(listen)
	if err != nil {
		d.errorf(path, "want an IP address and a port such as 127.0.0.1:8080, got %q", listen)
	}
	return socket(at.Addr().String(), uint32(at.Port()))
}

// socket is a TCP address.
func socket(host string, port uint32) *corev3.Address {
	return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address:       host,
		PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: port},
	}}}
}

// keepalive probes a connection on which nothing has moved for a minute. An
// answer that is not streamed may be silent for many, and the address translators
// and load balancers between forget a silent connection, Azure's after four.
func keepalive() *corev3.TcpKeepalive {
	return &corev3.TcpKeepalive{
		KeepaliveTime:     wrapperspb.UInt32(60),
		KeepaliveInterval: wrapperspb.UInt32(15),
		KeepaliveProbes:   wrapperspb.UInt32(4),
	}
}
