package strict

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// config is what the rendered files say, as far as this host plays it. A filter
// or a way to choose clusters that it does not play is an error.
type config struct {
	connectionBuffer int // bytes of a message that may be held back
	useRemoteAddress bool
	normalizePath    bool
	trustedHops      int
	passServer       bool // leave the server header as the backend sent it
	suppressHeaders  bool // add no x-envoy-* headers
	early            []mutation
	gateway          wasmFilter
	virtualHost      string
	attemptCount     bool
	routes           []*route
	clusters         map[string]*cluster
}

// route is an entry of the one virtual host.
type route struct {
	name        string
	prefix      string
	path        string
	remove      []string // request headers that go no further
	bufferLimit int      // bytes of a request or a response that may be held back
	timeout     time.Duration
	tryTimeout  time.Duration
	retryOn     []string
	retryCodes  []int
	retries     int
	backOff     time.Duration
	refresh     bool // choose the cluster anew for every try
	stateKey    string
	byState     map[string]string
	otherwise   string // the cluster when the state names none
}

// cluster chooses where a try goes.
func (r *route) cluster(state map[string][]byte) string {
	if name, known := r.byState[string(state[r.stateKey])]; known {
		return name
	}
	return r.otherwise
}

// match is the first route for a path.
func (c *config) match(path string) *route {
	bare, _, _ := strings.Cut(path, "?")
	for _, r := range c.routes {
		if r.path != "" && r.path == bare || r.path == "" && strings.HasPrefix(bare, r.prefix) {
			return r
		}
	}
	return nil
}

// wasmFilter is a configuration of envoy.filters.http.wasm.
type wasmFilter struct {
	Name     string `json:"name"`
	RootID   string `json:"root_id"`
	VMConfig struct {
		VMID string `json:"vm_id"`
		Code struct {
			Local struct {
				Filename string `json:"filename"`
			} `json:"local"`
		} `json:"code"`
	} `json:"vm_config"`
	Configuration struct {
		Value string `json:"value"`
	} `json:"configuration"`
	StopIteration bool `json:"allow_on_headers_stop_iteration"`
}

func (w wasmFilter) key() pluginKey {
	return pluginKey{name: w.Name, rootID: w.RootID, vmID: w.VMConfig.VMID, configuration: w.Configuration.Value, stopIteration: w.StopIteration}
}

// pathConfig is where Envoy watches a file.
type pathConfig struct {
	PathConfigSource struct {
		Path string `json:"path"`
	} `json:"path_config_source"`
}

// typed is a google.protobuf.Any whose type decides how the rest is read.
type typed struct {
	Type string `json:"@type"`
	raw  json.RawMessage
}

func (t *typed) UnmarshalJSON(b []byte) error {
	type plain typed
	t.raw = append(t.raw[:0], b...)
	return json.Unmarshal(b, (*plain)(t))
}

// is compares the last part of the type's name.
func (t typed) is(name string) bool { return strings.HasSuffix(t.Type, "."+name) }

func (t typed) into(v any) error { return json.Unmarshal(t.raw, v) }

// duration is a google.protobuf.Duration.
type duration time.Duration

func (d *duration) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	parsed, err := time.ParseDuration(s)
	*d = duration(parsed)
	return err
}

// integer is a number that protojson may have written as a string.
type integer int

func (i *integer) UnmarshalJSON(b []byte) error {
	n, err := strconv.Atoi(strings.Trim(string(b), `"`))
	*i = integer(n)
	return err
}

// readConfig reads the files below dir that bootstrap.json leads to.
func readConfig(dir string) (*config, error) {
	var bootstrap struct {
		Dynamic struct {
			Listeners pathConfig `json:"lds_config"`
			Clusters  pathConfig `json:"cds_config"`
		} `json:"dynamic_resources"`
	}
	b, err := os.ReadFile(filepath.Join(dir, "bootstrap.json"))
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(b, &bootstrap); err != nil {
		return nil, fmt.Errorf("bootstrap.json: %w", err)
	}
	c := &config{}
	if err := c.readListener(bootstrap.Dynamic.Listeners); err != nil {
		return nil, fmt.Errorf("listener: %w", err)
	}
	if err := c.readClusters(bootstrap.Dynamic.Clusters); err != nil {
		return nil, fmt.Errorf("clusters: %w", err)
	}
	return c, nil
}

// resources reads a discovery response from the file that p names.
func resources(p pathConfig) ([]typed, error) {
	path := p.PathConfigSource.Path
	if path == "" {
		return nil, errors.New("no path_config_source")
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var response struct {
		Resources []typed `json:"resources"`
	}
	if err := json.Unmarshal(b, &response); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return response.Resources, nil
}

// one reads the only resource of a file.
func one(p pathConfig, v any) error {
	all, err := resources(p)
	if err != nil {
		return err
	}
	if len(all) != 1 {
		return fmt.Errorf("%s: want 1 resource, got %d", p.PathConfigSource.Path, len(all))
	}
	return all[0].into(v)
}

// httpFilter is an entry of a filter chain.
type httpFilter struct {
	Name            string `json:"name"`
	Typed           typed  `json:"typed_config"`
	ConfigDiscovery *struct {
		Source pathConfig `json:"config_source"`
	} `json:"config_discovery"`
}

// resolve fetches the configuration of a filter that is delivered by ECDS.
func (f httpFilter) resolve() (typed, error) {
	if f.ConfigDiscovery == nil {
		return f.Typed, nil
	}
	var extension struct {
		Typed typed `json:"typed_config"`
	}
	err := one(f.ConfigDiscovery.Source, &extension)
	return extension.Typed, err
}

func (t typed) wasm() (wasmFilter, error) {
	var w struct {
		Config wasmFilter `json:"config"`
	}
	err := t.into(&w)
	return w.Config, err
}

func (c *config) readListener(p pathConfig) error {
	var listener struct {
		Buffer integer `json:"per_connection_buffer_limit_bytes"`
		Chains []struct {
			Filters []struct {
				Typed typed `json:"typed_config"`
			} `json:"filters"`
		} `json:"filter_chains"`
	}
	if err := one(p, &listener); err != nil {
		return err
	}
	if len(listener.Chains) != 1 || len(listener.Chains[0].Filters) != 1 {
		return errors.New("want one filter chain with one network filter")
	}
	var manager struct {
		RDS struct {
			Source pathConfig `json:"config_source"`
		} `json:"rds"`
		Filters          []httpFilter `json:"http_filters"`
		Server           string       `json:"server_header_transformation"`
		UseRemoteAddress bool         `json:"use_remote_address"`
		NormalizePath    bool         `json:"normalize_path"`
		TrustedHops      int          `json:"xff_num_trusted_hops"`
		Early            []struct {
			Typed struct {
				Mutations []mutation `json:"mutations"`
			} `json:"typed_config"`
		} `json:"early_header_mutation_extensions"`
	}
	if err := listener.Chains[0].Filters[0].Typed.into(&manager); err != nil {
		return err
	}
	const defaultBuffer = 1 << 20
	c.connectionBuffer = defaultBuffer
	if listener.Buffer > 0 {
		c.connectionBuffer = int(listener.Buffer)
	}
	c.normalizePath = manager.NormalizePath
	c.useRemoteAddress, c.trustedHops = manager.UseRemoteAddress, manager.TrustedHops
	c.passServer = manager.Server == "PASS_THROUGH"
	for _, e := range manager.Early {
		c.early = append(c.early, e.Typed.Mutations...)
	}
	for _, f := range manager.Filters {
		t, err := f.resolve()
		if err != nil {
			return fmt.Errorf("http filter %s: %w", f.Name, err)
		}
		switch {
		case t.is("Wasm") && c.gateway.Name == "":
			c.gateway, err = t.wasm()
		case t.is("Router"):
			var router struct {
				Suppress bool `json:"suppress_envoy_headers"`
			}
			err = t.into(&router)
			c.suppressHeaders = router.Suppress
		default:
			err = fmt.Errorf("%s is not played by the strict host", t.Type)
		}
		if err != nil {
			return fmt.Errorf("http filter %s: %w", f.Name, err)
		}
	}
	return c.readRoutes(manager.RDS.Source)
}
