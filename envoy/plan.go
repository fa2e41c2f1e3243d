package envoy

import (
	"bytes"
	"slices"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	upstreamv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	"google.golang.org/protobuf/proto"
)

// Step is one file to write, and how Envoy's statistics show what came of it.
type Step struct {
	// File is what to write. Without content, it goes away.
	File File

	// Await are what the statistics must show, all of them, before the next step.
	// Empty where nothing reads the file yet, or any more.
	Await []Stat

	// Rejected are counters. Envoy adds to one of them when it does not take the
	// file, says why in its log, and stays with what it has.
	Rejected []string

	// Pause is how long to wait before it.
	Pause time.Duration

	before File
}

// handover is how long what the document before refers to outlives its filter.
// Envoy's statistics are those of its main thread: a worker takes the filter's
// configuration when it gets to it, tens of milliseconds later on a busy machine,
// and until then decides by the one before. A cluster that is gone then is no
// failed try, which would be retried, but a failed request.
const handover = time.Second

// Stat is a statistic of Envoy's, a number in decimal or a text.
type Stat struct{ Name, Value string }

// Plan is the way from one document's resources to another's while requests are
// served. What comes is there before anything refers to it, and what goes is
// unreferred to before it goes: each step wants the one before in force.
//
//	listener    first, since a taken port is what most likely ends a rollout
//	secrets     of new and changed backends
//	clusters    of both documents, changed ones as the new says
//	routes      to the backends of both
//	filter      from here on, requests are decided by the new document;
//	            a pause, until every worker does
//	routes      of the new
//	clusters    of the new
//	secrets     that nothing injects any more go
//
// Steps that would change nothing are left out. Undo leads back. The bootstrap is
// in no plan: it depends on Options alone, of which both must be made with the
// same.
func Plan(from, to *Resources) []Step {
	var steps []Step
	current := slices.Clone(from.files)
	put := func(f File) {
		before := find(current, f.Name)
		if !bytes.Equal(before.Content, f.Content) {
			current = append(slices.DeleteFunc(current, func(c File) bool { return c.Name == f.Name }), f)
			steps = append(steps, change(before, f))
		}
	}
	put(find(to.files, listenersFile))
	for _, f := range to.files {
		if f.secret() {
			put(f)
		}
	}
	clusters, routes := union(from, to)
	put(clusters)
	put(routes)
	put(find(to.files, gatewayFile))
	put(find(to.files, routesFile))
	put(find(to.files, clustersFile))
	for _, f := range from.files {
		if f.secret() {
			put(find(to.files, f.Name))
		}
	}
	return paused(steps)
}

// Undo is the way back from steps that have been carried out, the last of them
// rejected perhaps. It is not Plan the other way round, which would bring what was
// rejected once more.
func Undo(done []Step) []Step {
	var steps []Step
	for _, s := range slices.Backward(done) {
		steps = append(steps, change(s.File, s.before))
	}
	return paused(steps)
}

// paused puts the handover behind a change of the filter.
func paused(steps []Step) []Step {
	for i := range steps[:max(len(steps)-1, 0)] {
		if steps[i].File.Name == gatewayFile {
			steps[i+1].Pause = handover
		}
	}
	return steps
}

// find is the file of that name, without content if there is none.
func find(files []File, name string) File {
	if i := slices.IndexFunc(files, func(f File) bool { return f.Name == name }); i >= 0 {
		return files[i]
	}
	return File{Name: name}
}

// change is the step from one content of a file to another.
func change(before, after File) Step {
	s := Step{File: after, before: before}
	subscription := after.subscription()
	if after.secret() && (before.Content == nil || after.Content == nil) {
		return s // nobody reads it
	}
	s.Await = []Stat{{subscription + ".version_text", after.Version}}
	s.Rejected = []string{subscription + ".update_rejected", subscription + ".update_failure"}
	switch after.Name {
	case clustersFile:
		// Until the first look at the DNS, the old ones of their names serve, and
		// new ones cannot be reached.
		s.Await = append(s.Await, Stat{"cluster_manager.warming_clusters", "0"})
	case listenersFile:
		s.Await = append(s.Await, Stat{"listener_manager.total_listeners_warming", "0"})
		s.Rejected = append(s.Rejected, "listener_manager.listener_create_failure")
	}
	return s
}

// subscription is how the names of the statistics of a file begin.
func (f File) subscription() string {
	switch f.Name {
	case listenersFile:
		return "listener_manager.lds"
	case clustersFile:
		return "cluster_manager.cds"
	case routesFile:
		return "http." + listenerName + ".rds." + routesName
	case gatewayFile:
		return "extension_config_discovery.http_filter." + gatewayName
	}
	return "sds." + f.backend()
}

// union is the clusters and the routes of both. A request that was decided by one
// document may still go from a cluster only the old has to one the new has changed,
// so each removes the credentials that either document injects.
func union(from, to *Resources) (clusters, routes File) {
	strip := slices.Concat(from.strip, to.strip)
	slices.Sort(strip)
	strip = slices.Compact(strip)
	all := slices.Clone(to.Clusters)
	for _, c := range from.Clusters {
		if !slices.ContainsFunc(to.Clusters, func(n *clusterv3.Cluster) bool { return n.Name == c.Name }) {
			all = append(all, c)
		}
	}
	sortClusters(all)
	for i, c := range all {
		all[i] = restrip(c, strip)
	}
	// All of it has been encoded before, so none of it fails now.
	clusters, _ = discovery(clustersFile, messages(all))
	routes, _ = discovery(routesFile, []proto.Message{from.route.union(to.route).config()})
	return clusters, routes
}

// restrip is the cluster with other headers to remove from its tries.
func restrip(c *clusterv3.Cluster, strip []string) *clusterv3.Cluster {
	var o upstreamv3.HttpProtocolOptions
	if err := c.TypedExtensionProtocolOptions[protocolOptions].UnmarshalTo(&o); err != nil {
		return c
	}
	i := slices.IndexFunc(o.HttpFilters, func(f *hcmv3.HttpFilter) bool { return f.Name == stripName })
	if i < 0 {
		return c // the closed one
	}
	o.HttpFilters[i] = filter(stripName, stripHeaders(strip))
	c = proto.CloneOf(c)
	c.TypedExtensionProtocolOptions[protocolOptions] = pack(&o)
	return c
}
