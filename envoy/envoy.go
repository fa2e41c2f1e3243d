// Package envoy renders the resources of an Envoy from a document, writes them
// as the files Envoy watches, and plans how to get from one document's files to
// another's without losing a request.
//
// README.md says what is rendered and why.
package envoy

import (
	"errors"
	"fmt"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/tollgate/tollgate/filters/policy"
)

// Options is what the document does not say.
type Options struct {
	// Dir is the folder the files are in while Envoy runs, and where Envoy makes
	// its admin socket. It goes into the resources as it is written here, so a
	// relative one is relative to Envoy's working directory.
	Dir string

	// Module is the file of the wasm module, as Envoy sees it.
	Module string

	// BaseDir is the folder that relative names in the document are relative to.
	//
	// default: the working directory
	BaseDir string

	// Listen replaces the document's gateway.listen.
	//
	// default: none
	Listen string

	// Redact puts "[redacted]" in the place of each secret, which then need not
	// be at hand. For showing the resources, not for running on them.
	Redact bool
}

// Resources are everything one Envoy runs on.
type Resources struct {
	Bootstrap  *bootstrapv3.Bootstrap
	Listeners  []*listenerv3.Listener
	Routes     []*routev3.RouteConfiguration
	Clusters   []*clusterv3.Cluster
	Extensions []*corev3.TypedExtensionConfig
	Secrets    []Secret

	files []File
	route route    // what Routes was made of
	strip []string // headers that every cluster removes
}

// Render makes the resources of a document as policy.Parse returns it, with its
// defaults filled in. The error joins every problem found: a credential that is
// not there, certificate authorities that cannot be read, an address Envoy cannot
// listen on. No error holds a secret.
func Render(doc *policy.Document, o Options) (*Resources, error) {
	compiled, err := doc.Compile()
	if err != nil {
		return nil, fmt.Errorf("policy: %w", err)
	}
	d := &render{doc: doc, options: o}
	r := &Resources{
		Bootstrap:  d.bootstrap(),
		Listeners:  []*listenerv3.Listener{d.listener()},
		Extensions: []*corev3.TypedExtensionConfig{{Name: gatewayName, TypedConfig: d.wasm("gateway", compiled)}},
		route:      d.route(),
		strip:      d.credentialHeaders(),
	}
	r.Routes = []*routev3.RouteConfiguration{r.route.config()}
	r.Clusters, r.Secrets = d.clusters(r.strip)
	if err := errors.Join(d.errs...); err != nil {
		return nil, err
	}
	if err := r.validate(); err != nil {
		return nil, err
	}
	if r.files, err = r.encode(); err != nil {
		return nil, err
	}
	return r, nil
}

// render is one run of Render: its input, and the problems found on the way.
type render struct {
	doc     *policy.Document
	options Options
	errs    []error
}

// errorf notes a problem with the part of the document at path.
func (d *render) errorf(path, format string, args ...any) {
	d.errs = append(d.errs, fmt.Errorf("%s: %w", path, fmt.Errorf(format, args...)))
}

// pack wraps a message. What cannot be packed, a string that is not UTF-8,
// becomes an Any that cannot be unpacked, which validate reports.
func pack(m proto.Message) *anypb.Any {
	a, err := anypb.New(m)
	if err != nil {
		return &anypb.Any{TypeUrl: err.Error()}
	}
	return a
}

// extension is a named message, as Envoy takes most of its plug-ins.
func extension(name string, m proto.Message) *corev3.TypedExtensionConfig {
	return &corev3.TypedExtensionConfig{Name: name, TypedConfig: pack(m)}
}
