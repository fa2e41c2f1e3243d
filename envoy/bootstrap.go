package envoy

import (
	"path/filepath"
	"time"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	overloadv3 "github.com/envoyproxy/go-control-plane/envoy/config/overload/v3"
	caresv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/network/dns_resolver/cares/v3"
	downstreamv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/resource_monitors/downstream_connections/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// maxClients is how many connections clients may hold open together; a further
// one is closed at once. It is Envoy's own advice for an edge.
const maxClients = 50_000

// maxSocket is how long the path of a Unix socket may be on every system, in bytes.
const maxSocket = 103

// bootstrap is what Envoy starts with. Nothing of the document is in it, so that
// no change of the document needs a restart.
func (d *render) bootstrap() *bootstrapv3.Bootstrap {
	admin := d.path(AdminSocket)
	if len(admin) > maxSocket {
		d.errorf("dir", "%s: longer than the %d bytes that the path of a socket may have", admin, maxSocket)
	}
	return &bootstrapv3.Bootstrap{
		// Secrets by file want a name for the node.
		Node: &corev3.Node{Id: "tollgate", Cluster: "tollgate"},
		DynamicResources: &bootstrapv3.Bootstrap_DynamicResources{
			LdsConfig: d.watch(listenersFile),
			CdsConfig: d.watch(clustersFile),
		},
		Admin: &bootstrapv3.Admin{Address: &corev3.Address{Address: &corev3.Address_Pipe{
			Pipe: &corev3.Pipe{Path: admin, Mode: 0o600},
		}}},
		// Clusters wait for their first answer, good or bad; Envoy's patience, 20 s
		// per name server, would be that of every reload.
		TypedDnsResolverConfig: extension("envoy.network.dns_resolver.cares", &caresv3.CaresDnsResolverConfig{
			QueryTimeoutSeconds: wrapperspb.UInt64(2),
			QueryTries:          wrapperspb.UInt32(2),
		}),
		OverloadManager: &overloadv3.OverloadManager{
			RefreshInterval: durationpb.New(time.Second),
			ResourceMonitors: []*overloadv3.ResourceMonitor{{
				Name: "envoy.resource_monitors.global_downstream_max_connections",
				ConfigType: &overloadv3.ResourceMonitor_TypedConfig{TypedConfig: pack(&downstreamv3.DownstreamConnectionsConfig{
					MaxActiveDownstreamConnections: maxClients,
				})},
			}},
		},
	}
}

// watch reads a resource from its file, again whenever something is moved into
// the file's folder. Envoy re-reads all it has from a folder then, so each kind
// has its own.
func (d *render) watch(file string) *corev3.ConfigSource {
	path := d.path(file)
	return source(&corev3.PathConfigSource{
		Path:             path,
		WatchedDirectory: &corev3.WatchedDirectory{Path: filepath.Dir(path)},
	})
}

// pollEvery is how soon Envoy sees that a secret has changed.
const pollEvery = time.Second

// poll reads a resource from its file once in a while. A watch takes an inotify
// instance, of which a user has 128: with a secret per backend, Envoy would end
// at the one it does not get.
func (d *render) poll(file string) *corev3.ConfigSource {
	return source(&corev3.PathConfigSource{Path: d.path(file), PollInterval: durationpb.New(pollEvery)})
}

func source(p *corev3.PathConfigSource) *corev3.ConfigSource {
	return &corev3.ConfigSource{
		ConfigSourceSpecifier: &corev3.ConfigSource_PathConfigSource{PathConfigSource: p},
		ResourceApiVersion:    corev3.ApiVersion_V3,
	}
}

// path is a file as Envoy sees it.
func (d *render) path(file string) string {
	return filepath.Join(d.options.Dir, filepath.FromSlash(file))
}
