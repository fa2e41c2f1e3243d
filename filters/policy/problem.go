//go:build !wasip1

package policy

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
)

// Problem is one mistake in a document.
type Problem struct {
	File    string // as given to Parse
	Line    int    // from 1
	Column  int    // in characters, from 1
	Path    string // such as backends[0].url; empty for the document as a whole
	Message string // what is wanted, and what was found where it cannot be a secret
}

// Error is FILE:LINE:COLUMN: PATH: MESSAGE.
func (p *Problem) Error() string {
	if p.Path == "" {
		return fmt.Sprintf("%s:%d:%d: %s", p.File, p.Line, p.Column, p.Message)
	}
	return fmt.Sprintf("%s:%d:%d: %s: %s", p.File, p.Line, p.Column, p.Path, p.Message)
}

// Problems are the mistakes that Parse joined into err, in the order of the
// file.
func Problems(err error) []*Problem {
	var joined interface{ Unwrap() []error }
	if !errors.As(err, &joined) {
		return nil
	}
	var ps []*Problem
	for _, err := range joined.Unwrap() {
		var p *Problem
		if errors.As(err, &p) {
			ps = append(ps, p)
		}
	}
	return ps
}

// join sorts the problems by position; its Error has one line for each.
func join(ps []*Problem) error {
	slices.SortStableFunc(ps, func(a, b *Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	errs := make([]error, len(ps))
	for i, p := range ps {
		errs[i] = p
	}
	return errors.Join(errs...)
}
