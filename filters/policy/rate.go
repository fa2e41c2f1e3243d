package policy

import (
	"bytes"
	"encoding/json"
)

// fields is Rate without its methods, so that it can be coded as a struct.
type fields Rate

// MarshalJSON writes a fixed rate as a number.
func (r Rate) MarshalJSON() ([]byte, error) { return json.Marshal(r.plain()) }

// MarshalYAML is MarshalJSON for YAML.
func (r Rate) MarshalYAML() (any, error) { return r.plain(), nil }

func (r Rate) plain() any {
	if r.Header == "" {
		return r.Default
	}
	return fields(r)
}

// UnmarshalJSON takes a number or an object.
func (r *Rate) UnmarshalJSON(src []byte) error {
	*r = Rate{Min: 1}
	if len(src) > 0 && src[0] == '{' {
		in := json.NewDecoder(bytes.NewReader(src))
		in.DisallowUnknownFields() // the outer decoder's setting does not reach here
		return in.Decode((*fields)(r))
	}
	return json.Unmarshal(src, &r.Default)
}
