package envoy

import (
	"maps"
	"slices"
	"time"

	xdscorev3 "github.com/cncf/xds/go/xds/core/v3"
	xdsmatcherv3 "github.com/cncf/xds/go/xds/type/matcher/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	inputv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/matching/common_inputs/network/v3"
	specifierv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/router/cluster_specifiers/matcher/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/tollgate/tollgate/filters/policy"
)

const (
	// chosen is the filter state in which the filters name the backend of the
	// next try. Envoy puts "wasm." before what a module sets.
	chosen = "wasm.tollgate.backend"

	// tryTimeout bounds a try for which the gateway filter has set no bound.
	tryTimeout = 10 * time.Minute

	// headroom is what Envoy's limit on buffered bodies leaves above maxBody. On
	// the way to the backend it is one read of the client's connection, so that
	// the filter is the one to answer 413. The limit holds for answers too: the
	// 256 KiB that the filter holds back and one read of the backend's connection
	// must fit, or a good answer would be a 500.
	headroom = 2 * bufferLimit

	// silence is the least time after which a stream without an event is cut.
	silence = time.Hour
)

// retriable are the answers after which the next backend is tried.
func retriable() []uint32 {
	out := make([]uint32, len(policy.Retriable))
	for i, status := range policy.Retriable {
		out[i] = uint32(status)
	}
	return out
}

// route is the one route: which backends it can reach, how large a body may be,
// in bytes, and how long nothing may move.
type route struct {
	backends []string
	body     uint64
	idle     time.Duration
}

func (d *render) route() route {
	r := route{body: uint64(d.doc.Gateway.MaxBody) + headroom, idle: silence}
	for _, b := range d.doc.Backends {
		r.backends = append(r.backends, b.Name)
	}
	for _, p := range d.doc.Pools {
		// Retries raise no event on the client's side.
		r.idle = max(r.idle, time.Duration(p.Retry.Attempts)*time.Duration(p.Retry.Timeout)+time.Minute)
	}
	return r
}

// union reaches the backends of both and is as patient as the more patient one.
func (r route) union(other route) route {
	all := make(map[string]struct{}, len(r.backends)+len(other.backends))
	for _, name := range slices.Concat(r.backends, other.backends) {
		all[name] = struct{}{}
	}
	return route{
		backends: slices.Sorted(maps.Keys(all)),
		body:     max(r.body, other.body),
		idle:     max(r.idle, other.idle),
	}
}

func (r route) config() *routev3.RouteConfiguration {
	return &routev3.RouteConfiguration{
		Name: routesName,
		// A cluster that is not there yet is no reason to refuse the routes.
		ValidateClusters: wrapperspb.Bool(false),
		VirtualHosts: []*routev3.VirtualHost{{
			Name:    routesName,
			Domains: []string{"*"},
			Routes: []*routev3.Route{{
				Name:  routesName,
				Match: &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/"}},
				// A compressed answer would hide its usage from the filter.
				RequestHeadersToRemove: []string{"accept-encoding"},
				RequestBodyBufferLimit: wrapperspb.UInt64(r.body),
				Action:                 &routev3.Route_Route{Route: r.action()},
			}},
		}},
	}
}

func (r route) action() *routev3.RouteAction {
	return &routev3.RouteAction{
		ClusterSpecifier: &routev3.RouteAction_InlineClusterSpecifierPlugin{
			InlineClusterSpecifierPlugin: &routev3.ClusterSpecifierPlugin{
				Extension: extension("envoy.router.cluster_specifier_plugin.matcher", r.matcher()),
			},
		},
		Timeout:     durationpb.New(0),
		IdleTimeout: durationpb.New(r.idle),
		RetryPolicy: &routev3.RetryPolicy{
			RetryOn:              "connect-failure,refused-stream,reset,retriable-status-codes",
			RetriableStatusCodes: retriable(),
			// The gateway filter says how many in x-envoy-max-retries.
			NumRetries:    wrapperspb.UInt32(0),
			PerTryTimeout: durationpb.New(tryTimeout),
			RetryBackOff: &routev3.RetryPolicy_RetryBackOff{
				BaseInterval: durationpb.New(time.Millisecond),
				MaxInterval:  durationpb.New(time.Millisecond),
			},
			RefreshClusterOnRetry: true,
		},
	}
}

// matcher picks the cluster by filter state, anew for each try. A request that no
// filter has decided, and a backend that is gone, end at the closed port.
func (r route) matcher() *specifierv3.MatcherClusterSpecifier {
	clusters := make(map[string]*xdsmatcherv3.Matcher_OnMatch, len(r.backends))
	for _, name := range r.backends {
		clusters[name] = toCluster(clusterName(name))
	}
	return &specifierv3.MatcherClusterSpecifier{ClusterMatcher: &xdsmatcherv3.Matcher{
		MatcherType: &xdsmatcherv3.Matcher_MatcherTree_{MatcherTree: &xdsmatcherv3.Matcher_MatcherTree{
			Input: &xdscorev3.TypedExtensionConfig{Name: chosen, TypedConfig: pack(&inputv3.FilterStateInput{Key: chosen})},
			TreeType: &xdsmatcherv3.Matcher_MatcherTree_ExactMatchMap{
				ExactMatchMap: &xdsmatcherv3.Matcher_MatcherTree_MatchMap{Map: clusters},
			},
		}},
		OnNoMatch: toCluster(closed),
	}}
}

func toCluster(name string) *xdsmatcherv3.Matcher_OnMatch {
	return &xdsmatcherv3.Matcher_OnMatch{OnMatch: &xdsmatcherv3.Matcher_OnMatch_Action{
		Action: &xdscorev3.TypedExtensionConfig{
			Name:        name,
			TypedConfig: pack(&specifierv3.ClusterAction{Cluster: name}),
		},
	}}
}
