package strict

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// clusterAction is an outcome of the matcher that specifies the cluster.
type clusterAction struct {
	Action struct {
		Typed struct {
			Cluster string `json:"cluster"`
		} `json:"typed_config"`
	} `json:"action"`
}

func (a clusterAction) name() string { return a.Action.Typed.Cluster }

// routeEntry is a route as it is written.
type routeEntry struct {
	Name  string `json:"name"`
	Match struct {
		Prefix *string `json:"prefix"`
		Path   string  `json:"path"`
	} `json:"match"`
	Remove    []string `json:"request_headers_to_remove"`
	BodyLimit integer  `json:"request_body_buffer_limit"`
	Action    *struct {
		Cluster   string    `json:"cluster"`
		Timeout   *duration `json:"timeout"`
		Specifier *struct {
			Extension struct {
				Typed typed `json:"typed_config"`
			} `json:"extension"`
		} `json:"inline_cluster_specifier_plugin"`
		Retry *struct {
			On         string   `json:"retry_on"`
			Codes      []int    `json:"retriable_status_codes"`
			Retries    *int     `json:"num_retries"`
			TryTimeout duration `json:"per_try_timeout"`
			Refresh    bool     `json:"refresh_cluster_on_retry"`
			BackOff    *struct {
				Base duration `json:"base_interval"`
			} `json:"retry_back_off"`
		} `json:"retry_policy"`
	} `json:"route"`
}

func (c *config) readRoutes(p pathConfig) error {
	var routes struct {
		Hosts []struct {
			Name         string       `json:"name"`
			Domains      []string     `json:"domains"`
			AttemptCount bool         `json:"include_request_attempt_count"`
			Remove       []string     `json:"request_headers_to_remove"`
			BodyLimit    integer      `json:"request_body_buffer_limit"`
			Routes       []routeEntry `json:"routes"`
		} `json:"virtual_hosts"`
	}
	if err := one(p, &routes); err != nil {
		return fmt.Errorf("routes: %w", err)
	}
	if len(routes.Hosts) != 1 || len(routes.Hosts[0].Domains) != 1 || routes.Hosts[0].Domains[0] != "*" {
		return errors.New("routes: want one virtual host for the domain *")
	}
	host := routes.Hosts[0]
	c.virtualHost, c.attemptCount = host.Name, host.AttemptCount
	for i, entry := range host.Routes {
		r, err := entry.route(int(host.BodyLimit), c.connectionBuffer)
		if err != nil {
			return fmt.Errorf("routes[%d]: %w", i, err)
		}
		r.remove = append(r.remove, host.Remove...)
		c.routes = append(c.routes, r)
	}
	return nil
}

// route fills in Envoy's defaults. request_body_buffer_limit of the route, or else
// of the virtual host, raises the connection's limit, for both directions; it
// lowers none.
func (e routeEntry) route(hostLimit, connectionLimit int) (*route, error) {
	if e.Match.Prefix == nil && e.Match.Path == "" {
		return nil, errors.New("match: want a prefix or a path")
	}
	if e.Action == nil {
		return nil, errors.New("want the action route")
	}
	const defaultTimeout, defaultBackOff = 15 * time.Second, 25 * time.Millisecond
	r := &route{
		name: e.Name, path: e.Match.Path, remove: e.Remove, otherwise: e.Action.Cluster,
		timeout: defaultTimeout, backOff: defaultBackOff,
		bufferLimit: int(e.BodyLimit),
	}
	if e.Match.Prefix != nil {
		r.prefix = *e.Match.Prefix
	}
	if r.bufferLimit == 0 {
		r.bufferLimit = hostLimit
	}
	r.bufferLimit = max(r.bufferLimit, connectionLimit)
	if e.Action.Timeout != nil {
		r.timeout = time.Duration(*e.Action.Timeout)
	}
	if p := e.Action.Retry; p != nil {
		r.retryOn, r.retryCodes, r.retries = strings.Split(p.On, ","), p.Codes, 1
		if p.Retries != nil {
			r.retries = *p.Retries
		}
		r.tryTimeout, r.refresh = time.Duration(p.TryTimeout), p.Refresh
		if p.BackOff != nil {
			r.backOff = time.Duration(p.BackOff.Base)
		}
	}
	return r, r.readSpecifier(e)
}

// readSpecifier reads a matcher on one filter state key.
func (r *route) readSpecifier(e routeEntry) error {
	if e.Action.Specifier == nil {
		return nil
	}
	t := e.Action.Specifier.Extension.Typed
	if !t.is("MatcherClusterSpecifier") {
		return fmt.Errorf("cluster specifier %s is not played by the strict host", t.Type)
	}
	var specifier struct {
		Matcher struct {
			Tree struct {
				Input struct {
					Typed struct {
						Type string `json:"@type"`
						Key  string `json:"key"`
					} `json:"typed_config"`
				} `json:"input"`
				Exact struct {
					Map map[string]clusterAction `json:"map"`
				} `json:"exact_match_map"`
			} `json:"matcher_tree"`
			NoMatch clusterAction `json:"on_no_match"`
		} `json:"cluster_matcher"`
	}
	if err := t.into(&specifier); err != nil {
		return err
	}
	m := specifier.Matcher
	if key := m.Tree.Input.Typed; len(m.Tree.Exact.Map) > 0 && !strings.HasSuffix(key.Type, ".FilterStateInput") {
		return fmt.Errorf("matcher input %s is not played by the strict host", key.Type)
	}
	r.stateKey, r.byState, r.otherwise = m.Tree.Input.Typed.Key, map[string]string{}, m.NoMatch.name()
	for state, action := range m.Tree.Exact.Map {
		r.byState[state] = action.name()
	}
	return nil
}

// mutation removes or sets request headers (envoy.config.common.mutation_rules).
type mutation struct {
	Remove        string `json:"remove"`
	RemoveOnMatch *struct {
		Key struct {
			Prefix string `json:"prefix"`
			Exact  string `json:"exact"`
		} `json:"key_matcher"`
	} `json:"remove_on_match"`
	Append *struct {
		Header struct {
			Key   string `json:"key"`
			Value string `json:"value"`
		} `json:"header"`
		Action string `json:"append_action"`
	} `json:"append"`
}

func (m mutation) apply(h *headers) {
	switch {
	case m.Remove != "":
		h.remove(strings.ToLower(m.Remove))
	case m.RemoveOnMatch != nil:
		key := m.RemoveOnMatch.Key
		for _, p := range h.clone().pairs {
			if key.Prefix != "" && strings.HasPrefix(p[0], key.Prefix) || key.Exact != "" && p[0] == key.Exact {
				h.remove(p[0])
			}
		}
	case m.Append != nil:
		switch m.Append.Action {
		case "OVERWRITE_IF_EXISTS_OR_ADD":
			h.set(m.Append.Header.Key, m.Append.Header.Value)
		case "ADD_IF_ABSENT":
			if _, found := h.get(strings.ToLower(m.Append.Header.Key)); !found {
				h.add(m.Append.Header.Key, m.Append.Header.Value)
			}
		default:
			h.add(m.Append.Header.Key, m.Append.Header.Value)
		}
	}
}
