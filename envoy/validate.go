package envoy

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protopath"
	"google.golang.org/protobuf/reflect/protorange"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"
)

// validate checks every message against the rules Envoy publishes with it, the
// messages inside Anys included.
func (r *Resources) validate() error {
	errs := []error{check("bootstrap", r.Bootstrap)}
	for _, m := range r.Listeners {
		errs = append(errs, check("listener "+m.Name, m))
	}
	for _, m := range r.Routes {
		errs = append(errs, check("routes "+m.Name, m))
	}
	for _, m := range r.Clusters {
		errs = append(errs, check("cluster "+m.Name, m))
	}
	for _, m := range r.Extensions {
		errs = append(errs, check("extension "+m.Name, m))
	}
	for _, s := range r.Secrets {
		errs = append(errs, check("secret "+s.Secret.Name, s.Secret))
	}
	return errors.Join(errs...)
}

// check validates a message and, since ValidateAll stops at an Any, what every
// Any below it holds.
func check(name string, m proto.Message) error {
	err := protorange.Range(m.ProtoReflect(), func(p protopath.Values) error {
		last := p.Index(-1)
		v, ok := last.Value.Interface().(protoreflect.Message)
		if !ok {
			return nil
		}
		if a, ok := v.Interface().(*anypb.Any); ok {
			// Range passes over an Any that it cannot unpack.
			if _, err := a.UnmarshalNew(); err != nil {
				return fmt.Errorf("%s: %w", a.TypeUrl, err)
			}
			return nil
		}
		if k := last.Step.Kind(); k == protopath.RootStep || k == protopath.AnyExpandStep {
			if v, ok := v.Interface().(interface{ ValidateAll() error }); ok {
				return v.ValidateAll()
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}
